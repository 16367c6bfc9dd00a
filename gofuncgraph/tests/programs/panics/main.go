// Command panics panics in every way that it is told to. After "ready PID" it obeys lines on
// standard input, each of which names a case below or a way to end, and answers each case with
// "done" when it is over.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"runtime"
	"strings"
	"testing"
)

var (
	zero    int
	empty   []int
	nilMap  map[string]int
	nothing *node
	anyKey  interface{} = []int{1}
	noFunc  func(int) int
	closed  = make(chan int)
	sink    int
)

type node struct {
	pad   [64]int
	value int
}

// get has no frame, and faults in its first instruction if n is nil.
//
//go:noinline
func (n *node) get() int { return n.value }

type square struct{}

var cases = map[string]func(){
	"plain":      plain,
	"nil":        func() { recovering(func() { middle(derefNil) }) },
	"leaf":       func() { recovering(func() { middle(derefLeaf) }) },
	"index":      func() { recovering(func() { middle(index) }) },
	"slice":      func() { recovering(func() { middle(slice) }) },
	"divide":     func() { recovering(func() { middle(divide) }) },
	"map":        func() { recovering(func() { middle(assignNilMap) }) },
	"hash":       func() { recovering(func() { middle(hashSlice) }) },
	"type":       func() { recovering(func() { middle(assertType) }) },
	"chan":       func() { recovering(func() { middle(closeTwice) }) },
	"call":       func() { recovering(func() { middle(callNil) }) },
	"library":    func() { recovering(func() { middle(repeatNegative) }) },
	"self":       recoverSelf,
	"deferred":   panicInDeferred,
	"nested":     nested,
	"inner":      innerRecovered,
	"repanic":    repanic,
	"goexit":     func() { onGoroutine(goexit) },
	"exitpanic":  func() { onGoroutine(goexitInPanic) },
	"panicexit":  func() { onGoroutine(panicInGoexit) },
	"failnow":    failNow,
	"pastgoexit": func() { onGoroutine(pastGoexit) },
	"again":      again,
}

func main() {
	close(closed)
	fmt.Println("ready", os.Getpid())
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		words := strings.Fields(input.Text())
		switch words[0] {
		case "fatal":
			held := hold()
			<-held
			go holder(func() { middle(p3) })
			select {}
		case "fatalnil":
			<-hold()
			go derefNil()
			select {}
		case "fatalnested":
			<-hold()
			go fatalNested()
			select {}
		case "fatalindex":
			<-hold()
			go index()
			select {}
		case "exit":
			<-hold()
			leave(3)
		case "exit0":
			<-hold()
			leave(0)
		case "log":
			<-hold()
			log.SetOutput(io.Discard)
			log.Fatal("the end")
		case "throw":
			<-hold()
			throw()
		case "hold":
			<-hold()
			fmt.Println("held")
		case "return":
			<-hold()
			return
		default:
			run, ok := cases[words[0]]
			if !ok {
				fmt.Fprintln(os.Stderr, "no case", words[0])
				os.Exit(1)
			}
			run()
			fmt.Println("done")
		}
	}
}

// hold opens a call of holder on a goroutine of its own, which never returns.
func hold() chan struct{} {
	entered := make(chan struct{})
	go holder(func() {
		close(entered)
		select {}
	})
	return entered
}

//go:noinline
func holder(f func()) { f(); sink++ }

//go:noinline
func leave(code int) { sink++; os.Exit(code) }

//go:noinline
func throw() {
	// Unlocking what is not locked is fatal, and cannot be recovered.
	new(lock).mutex.Unlock()
}

//go:noinline
func recovering(f func()) {
	defer func() {
		if recover() == nil {
			panic("nothing to recover")
		}
	}()
	f()
	sink++
}

//go:noinline
func middle(f func()) { f(); sink++ }

//go:noinline
func p3() { sink++; panic(errors.New("p3")) }

//go:noinline
func p2() { p3(); sink++ }

func plain() { recovering(p2) }

//go:noinline
func derefNil() { holder2(); sink += nothing.value }

//go:noinline
func holder2() { sink++ }

//go:noinline
func derefLeaf() { sink += nothing.get() + 1 }

//go:noinline
func index() { sink++; sink += empty[zero+5] }

//go:noinline
func slice() { sink++; empty = empty[zero+5 : zero+6] }

//go:noinline
func divide() { sink++; sink = 7 / zero }

//go:noinline
func assignNilMap() { sink++; nilMap["x"] = 1 }

//go:noinline
func hashSlice() { sink++; m := map[interface{}]int{}; m[anyKey] = 1 }

//go:noinline
func assertType() { sink++; var s interface{} = square{}; sink += s.(*node).value }

//go:noinline
func closeTwice() { sink++; close(closed) }

//go:noinline
func repeatNegative() { sink += len(strings.Repeat("x", zero-1)) }

//go:noinline
func recoverSelf() {
	defer func() { recover() }()
	p2wrapped()
	panic("self")
}

//go:noinline
func p2wrapped() { sink++ }

// panicInDeferred panics in a deferred call while it returns.
//
//go:noinline
func panicInDeferred() {
	defer func() { recover() }()
	defer deferredPanic()
	sink++
}

//go:noinline
func deferredPanic() { sink++; panic("in a deferred call") }

// nested panics, and panics again in a deferred call; both are recovered together.
//
//go:noinline
func nested() { recovering(first) }

//go:noinline
func first() {
	defer second()
	sink++
	panic("first")
}

//go:noinline
func second() { sink++; third() }

//go:noinline
func third() { sink++; panic("second") }

// innerRecovered panics; a deferred call of it recovers another panic meanwhile.
//
//go:noinline
func innerRecovered() { recovering(outerPanic) }

//go:noinline
func outerPanic() {
	defer plain()
	sink++
	panic("outer")
}

// repanic recovers and panics again, with the same value.
//
//go:noinline
func repanic() { recovering(again1) }

//go:noinline
func again1() {
	defer again2()
	p2()
}

//go:noinline
func again2() { panic(recover()) }

func onGoroutine(f func()) {
	over := make(chan struct{})
	go startGoroutine(f, over)
	<-over
}

//go:noinline
func startGoroutine(f func(), over chan struct{}) {
	defer close(over)
	middle(f)
}

//go:noinline
func goexit() { defer holder2(); runtime.Goexit() }

// goexitInPanic ends its goroutine while it panics.
//
//go:noinline
func goexitInPanic() { defer goexit(); panic("not recovered, and not fatal") }

// panicInGoexit panics and recovers while its goroutine ends.
//
//go:noinline
func panicInGoexit() { defer plain(); defer recoverNothing(); runtime.Goexit() }

//go:noinline
func recoverNothing() {
	defer func() { recover() }()
	defer p2()
	sink++
}

// pastGoexit recovers a panic of a deferred call, which would go on past the pending Goexit.
//
//go:noinline
func pastGoexit() {
	defer func() { recover() }()
	defer p2()
	runtime.Goexit()
}

// failNow runs a benchmark that fails at once, as a test does.
func failNow() { testing.Benchmark(failing) }

//go:noinline
func failing(b *testing.B) { holder2(); b.FailNow() }

//go:noinline
func callNil() { sink += noFunc(zero) + 1 }

// again panics many times in the same place.
//
//go:noinline
func again() {
	for i := 0; i < 100; i++ {
		recovering(p2)
	}
}

//go:noinline
func fatalNested() {
	defer second()
	panic("first")
}
