// Command hot calls small functions in a loop on several goroutines and checks
// every result. After "ready PID" it calls until it is told, on standard input:
//
//	check     answers "ok N" with the number of calls of nested so far, once each
//	          goroutine has called it again, or "wrong"
//
// It ends with standard input, and then prints
//
//	count main.nested N
//	count main.twice N
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

const goroutines = 2

var (
	rounds [goroutines]atomic.Int64
	wrong  atomic.Bool
	stop   atomic.Bool
)

func main() {
	var finished sync.WaitGroup
	for i := range rounds {
		finished.Add(1)
		go func(i int) {
			defer finished.Done()
			for n := i; !stop.Load(); n++ {
				if nested(n) != 4*n+2 {
					wrong.Store(true)
				}
				rounds[i].Add(1)
			}
		}(i)
	}

	fmt.Println("ready", os.Getpid())
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		if input.Text() != "check" {
			fmt.Fprintf(os.Stderr, "hot: %q is not a command\n", input.Text())
			os.Exit(2)
		}
		var before [goroutines]int64
		for i := range rounds {
			before[i] = rounds[i].Load()
		}
		for i := range rounds {
			for rounds[i].Load() < before[i]+2 {
				runtime.Gosched()
			}
		}
		if wrong.Load() {
			fmt.Println("wrong")
		} else {
			fmt.Println("ok", total())
		}
	}

	stop.Store(true)
	finished.Wait()
	fmt.Println("count main.nested", total())
	fmt.Println("count main.twice", 2*total())
	if wrong.Load() {
		os.Exit(1)
	}
}

func total() int64 {
	var sum int64
	for i := range rounds {
		sum += rounds[i].Load()
	}
	return sum
}

// Inlined, the two functions could not be traced.

//go:noinline
func nested(n int) int {
	return twice(n) + twice(n+1)
}

//go:noinline
func twice(n int) int {
	return 2 * n
}
