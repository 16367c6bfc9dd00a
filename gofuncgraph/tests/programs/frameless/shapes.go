package main

import "sync/atomic"

// The functions whose calls are counted, by their callers: none has a frame, a
// stack check or a call where that can be avoided, so what decides where their
// entry probes go is how their code begins.

// sign branches at once.
//
//go:noinline
func sign(n int) int {
	if n < 0 {
		return -1
	}
	if n > 0 {
		return 1
	}
	return 0
}

// sumTo jumps into its loop, behind some preparation.
//
//go:noinline
func sumTo(n int) int {
	sum := 0
	for i := 0; i < n; i++ {
		sum += i
	}
	return sum
}

// halvings loops over what begins the function.
//
//go:noinline
func halvings(n uint) (count int) {
	for n > 1 {
		n >>= 1
		count++
	}
	return count
}

// spin loops back to its very first instruction.
//
//go:noinline
func spin(p *int32) {
	for atomic.LoadInt32(p) == 0 {
	}
}

// gcd divides in its loop.
//
//go:noinline
func gcd(a, b uint32) uint32 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// add is a straight line.
//
//go:noinline
func add(a, b int) int {
	return a + b
}

// nothing is a single RET.
//
//go:noinline
func nothing() {}

type node struct {
	value int
	next  *node
}

// get loads from its receiver, which may be nil.
//
//go:noinline
func (n *node) get() int {
	return n.value
}

// isBig loads from its receiver, which may be nil, and branches.
//
//go:noinline
func (n *node) isBig() bool {
	if n.value > 10 && n.next == nil {
		return true
	}
	return false
}

// length does not load from a receiver that is nil.
//
//go:noinline
func (n *node) length() int {
	count := 0
	for ; n != nil; n = n.next {
		count++
	}
	return count
}

// orZero branches before it loads from its receiver.
//
//go:noinline
func (n *node) orZero() int {
	if n == nil {
		return 0
	}
	return n.value
}

// nextValue branches, then loads what may be nil.
//
//go:noinline
func (n *node) nextValue(really bool) int {
	if !really {
		return 0
	}
	return n.next.value
}

// name jumps through a table.
//
//go:noinline
func name(n int) string {
	switch n {
	case 0:
		return "zero"
	case 1:
		return "one"
	case 2:
		return "two"
	case 3:
		return "three"
	case 4:
		return "four"
	case 5:
		return "five"
	case 6:
		return "six"
	case 7:
		return "seven"
	case 8:
		return "eight"
	}
	return "many"
}

// machine jumps through a table again and again.
//
//go:noinline
func machine(state, steps int) int {
	for ; steps > 0; steps-- {
		switch state {
		case 0:
			state = 3
		case 1:
			state = 7
		case 2:
			continue
		case 3:
			state = 1
		case 4:
			state = 2
		case 5:
			state = 8
		case 6:
			continue
		case 7:
			state = 5
		case 8:
			state = 6
		}
	}
	return state
}

// many has arguments on the stack.
//
//go:noinline
func many(a, b, c, d, e, f, g, h, i, j, k, l int) int {
	if l > a {
		return b + c + d + e + f + g + h + i + j + k
	}
	return k
}

// pick spills an argument to index it.
//
//go:noinline
func pick(values [1]int, s string) int {
	if len(s) > 3 {
		return values[0]
	}
	return len(s)
}

// indexOf searches; no bounds check is left.
//
//go:noinline
func indexOf(text string, wanted byte) int {
	for i := 0; i < len(text); i++ {
		if text[i] == wanted {
			return i
		}
	}
	return -1
}

// at can panic by its own check, for which it has a call.
//
//go:noinline
func at(values []int, i int) int {
	return values[i]
}

var (
	isVerbose bool
	written   int
)

// note reads a package variable, branches and writes one.
//
//go:noinline
func note() {
	if isVerbose {
		written++
	}
}

// larger compares floats.
//
//go:noinline
func larger(a, b float64) float64 {
	if a > b {
		return a
	}
	return b
}

// started is what goroutines run.
//
//go:noinline
func started() {
	if isVerbose {
		written++
	}
}

// deferred is called as the function that deferred it ends.
//
//go:noinline
func deferred() {
	if isVerbose {
		written++
	}
}

// nosplit has a frame and no stack check.
//
//go:noinline
//go:nosplit
func nosplit(n int) int {
	return sign(n) + 1
}

// set writes memory, then branches.
//
//go:noinline
func set(p *int, n int) int {
	*p = n
	if n > 3 {
		return 3
	}
	return n
}
