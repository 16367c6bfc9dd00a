// Command percall tells what a call costs while it is traced: for each number
// on standard input it calls leaf as often, from root, and prints the
// nanoseconds that one call took.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"time"
)

// frame is large enough for leaf to check its stack, as most functions do.
const frame = 32

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

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		calls, err := strconv.Atoi(lines.Text())
		if err != nil || calls < 1 {
			fmt.Fprintln(os.Stderr, "percall: not a number of calls:", lines.Text())
			os.Exit(2)
		}
		begun := time.Now()
		root(calls)
		fmt.Println(float64(time.Since(begun).Nanoseconds()) / float64(calls))
	}
}
