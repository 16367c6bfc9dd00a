package main

import "C"

var squareInGoCalls = newCounter()

// squareInGo is called by C. A negative number is a panic.
//
//export squareInGo
func squareInGo(n C.int) C.int {
	squareInGoCalls.enter()
	if n < 0 {
		explicitPanic()
	}
	square := n * C.int(leaf(int(n)-1))
	squareInGoCalls.leave()
	return square
}
