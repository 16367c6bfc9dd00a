// Command percall tells what a call costs while it is traced. For each line
//
//	CALLS [CALLS_PER_SECOND]
//
// on standard input it calls leaf as often, from root, and prints the
// nanoseconds that one call took. With a rate, it calls leaf in trees of a
// thousand calls, which begin evenly spaced.
package main

import (
	"bufio"
	"fmt"
	"os"
	"time"
)

// frame is large enough for leaf to check its stack, as most functions do.
const frame = 32

// pacedTree is the number of calls of a tree when there is a rate.
const pacedTree = 1000

//go:noinline
func leaf(i int) int {
	var scratch [frame]int
	scratch[i%frame] = i
	return scratch[(i+1)%frame]
}

//go:noinline
func root(calls int) (sum int) {
	for i := 0; i < calls; i++ {
		sum += leaf(i)
	}
	return sum
}

// never is the target of traces that shall see no tree: nothing calls it.
//
//go:noinline
func never(calls int) int {
	return leaf(calls)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var calls, perSecond int
		fields, _ := fmt.Sscan(lines.Text(), &calls, &perSecond)
		if fields < 1 || calls < 1 || perSecond < 0 {
			fmt.Fprintln(os.Stderr, "percall: not a number of calls:", lines.Text())
			os.Exit(2)
		}
		if calls == 1<<62 {
			never(calls)
		}
		begun := time.Now()
		if perSecond == 0 {
			root(calls)
		} else {
			paced(begun, calls, perSecond)
		}
		fmt.Println(float64(time.Since(begun).Nanoseconds()) / float64(calls))
	}
}

// paced calls root for pacedTree calls at a time, none before its moment.
func paced(begun time.Time, calls, perSecond int) {
	for done := 0; done < calls; done += pacedTree {
		due := time.Duration(float64(done) / float64(perSecond) * float64(time.Second))
		for time.Since(begun) < due {
			// Sleeping would be late by more than a tree takes.
		}
		root(pacedTree)
	}
}
