//go:build callbacks
// +build callbacks

// Package foreign calls C, which calls Go, which calls C.
package foreign

/*
extern int goBack(int n);

static int callBack(int n) { return goBack(n) + 1; }
*/
import "C"

import (
	"sync/atomic"

	"example.com/gofuncgraph/matrix/work"
)

var entered, returned int64

// CallBacks calls everything, and returns when all of it is over.
func CallBacks() {
	for i := 0; i < 10; i++ {
		callC(3)
	}
	work.Count("callC", entered, returned)
	work.Count("goBack", entered, returned)
	entered, returned = 0, 0
}

//go:noinline
func callC(n int) int {
	atomic.AddInt64(&entered, 1)
	n = int(C.callBack(C.int(n)))
	atomic.AddInt64(&returned, 1)
	return n
}

//go:noinline
//export goBack
func goBack(n C.int) C.int {
	if n > 0 {
		return C.int(callC(int(n) - 1))
	}
	return 0
}
