// Command promotion calls functions from places that the tracer has and has not
// seen before. After "ready PID" it obeys lines on standard input, and answers
// each with "done":
//
//	often     calls root, which calls leaf from one place many times
//	newplace  calls rootOfNewPlace, which calls leaf by a value, and then
//	          a function that is not traced and calls inner
//	loop      calls what is not traced millions of times where it seldom calls leaf
//	chain     calls rootOfChain, which calls leaf through functions that return at once
//	fault     calls faulting, which uses what source returns, a nil pointer
package main

import (
	"bufio"
	"fmt"
	"os"
)

const many = 300

var sink int

// leafValue is called where the code does not tell what is called.
var leafValue = leaf

//go:noinline
func leaf(n int) int {
	var scratch [32]int
	scratch[n%32] = n
	return scratch[(n+1)%32] + sink
}

//go:noinline
func root() {
	for i := 0; i < many; i++ {
		sink = leaf(i)
	}
}

//go:noinline
func rootOfNewPlace() {
	sink = leafValue(7)
	between(5)
}

// between is not traced.
//
//go:noinline
func between(n int) int {
	var scratch [32]int
	scratch[n%32] = inner(n)
	return scratch[(n+1)%32]
}

//go:noinline
func inner(n int) int {
	var scratch [32]int
	scratch[n%32] = n
	return scratch[(n+1)%32]
}

// loop calls other at a place where it seldom calls leaf.
//
//go:noinline
func loop(rounds int) {
	for i := 0; i < rounds; i++ {
		called := otherValue
		if i&(1<<23-1) == 7 {
			called = leafValue
		}
		called(i & 31)
	}
}

// other is not traced.
//
//go:noinline
func other(n int) int {
	return n + sink
}

var otherValue = other

//go:noinline
func rootOfChain() {
	for i := 0; i < many; i++ {
		sink = outerLink(i)
	}
}

//go:noinline
func outerLink(n int) int {
	return link(n)
}

//go:noinline
func link(n int) int {
	return leaf(n)
}

type thing struct{ number int }

//go:noinline
func source(n int) *thing {
	var scratch [32]int
	scratch[n%32] = n
	if scratch[(n+1)%32] == 0 {
		return nil
	}
	return &thing{n}
}

//go:noinline
func faulting() (err any) {
	defer cleanup(&err)
	sink = source(3).number
	return nil
}

//go:noinline
func cleanup(err *any) {
	*err = recover()
	sink = inner(2)
}

func main() {
	fmt.Println("ready", os.Getpid())
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		switch input.Text() {
		case "often":
			root()
		case "newplace":
			rootOfNewPlace()
		case "loop":
			loop(1 << 29)
		case "chain":
			rootOfChain()
		case "fault":
			for i := 0; i < many; i++ {
				if faulting() == nil {
					fmt.Println("wrong")
				}
			}
		default:
			fmt.Fprintf(os.Stderr, "promotion: %q is not a command\n", input.Text())
			os.Exit(2)
		}
		fmt.Println("done")
	}
}
