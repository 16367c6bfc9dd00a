// Command shapes calls functions in every way for which the compiler makes names or functions of
// its own. After "ready PID" it answers each line on standard input with the line "called", when
// it has called adapted, closures and, as far as its Go release has them, generics and iterators.
package main

import (
	"bufio"
	"fmt"
	"os"

	"example.com/shapes/asm"
)

var (
	generics  = func() {}
	iterators = func() {}
)

func main() {
	fmt.Println("ready", os.Getpid())
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		adapted()
		closures(2)
		generics()
		iterators()
		fmt.Println("called")
	}
}

type inner struct{ n int }

//go:noinline
func (i *inner) Inc() int { i.n++; return i.n }

//go:noinline
func (i inner) Get() int { return i.n }

// small is inlined into what calls it.
func (i inner) Small() int { return len(os.Args) + i.n }

type byPointer struct {
	pad int
	*inner
}

type byValue struct {
	pad string
	inner
}

type incrementer interface{ Inc() int }

type getter interface{ Get() int }

type smaller interface{ Small() int }

type embedded struct{ incrementer }

//go:noinline
func callInc(i incrementer) int { return i.Inc() }

//go:noinline
func callGet(i getter) int { return i.Get() }

//go:noinline
func callSmall(i smaller) int { return i.Small() }

//go:noinline
func callFunc(f func() int) int { return f() }

// adapted calls methods and assembly by way of wrappers.
//
//go:noinline
func adapted() {
	i := &inner{1}
	callInc(i)
	callInc(byPointer{inner: i})
	callInc(&byPointer{inner: i})
	callInc(&byValue{})
	callInc(embedded{i})
	callInc(&embedded{i})
	callGet(i)
	callGet(*i)
	callGet(byPointer{inner: i})
	callGet(&byPointer{inner: i})
	callGet(byValue{})
	callGet(&byValue{})
	callSmall(&byValue{})
	callFunc(i.Inc)
	callFunc(incrementer(i).Inc)
	callFunc(i.Get)
	expression := incrementer.Inc
	expression(i)
	asm.Add(1, 2)
	asm.Callback()
}

var initialised = callFunc(func() int { return len(os.Args) })

func init() { initialised++ }

func init() { initialised += callGet(inner{3}) }

// closures has closures in closures, and calls that go and defer make closures for.
//
//go:noinline
func closures(n int) (result int) {
	deferred := n
	defer func() { result += deferred }()
	defer callGet(&inner{n})
	results := make(chan int)
	go produce(results, n)
	result = <-results
	return result + nested(n)()
}

//go:noinline
func produce(results chan int, n int) { results <- n }

//go:noinline
func nested(n int) func() int {
	return func() int {
		return callFunc(func() int { return n + len(os.Args) })
	}
}
