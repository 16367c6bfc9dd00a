// Command library is built as a shared library (-buildmode=c-shared), for programs in other
// languages to load.
package main

import "C"

func main() {}

// Work makes calls, and gives how many.
//
//export Work
func Work(calls C.int) C.int {
	for i := 0; i < int(calls); i++ {
		step(i)
	}
	return C.int(done)
}

var done int

// step is what a test counts, so it may not be inlined.
//
//go:noinline
func step(i int) {
	if i >= 0 {
		done++
	}
}
