// Command bare calls a function that is nothing but a RET: its entry and its
// exit are the same instruction. After "ready PID", each line "run" makes root
// call it 100 times, and is answered by "ran".
package main

import (
	"bufio"
	"fmt"
	"os"
)

func main() {
	fmt.Println("ready", os.Getpid())
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		root()
		fmt.Println("ran")
	}
}

//go:noinline
func root() {
	for i := 0; i < 100; i++ {
		nothing()
	}
}

//go:noinline
func nothing() {}
