// Command names calls functions with names that the linker changes. After "ready PID" it answers
// each line on standard input with the line "called", when it has called dotted.Outer.
package main

import (
	"bufio"
	"fmt"
	"os"

	dotted "example.com/names/dotted.v2"
)

func main() {
	fmt.Println("ready", os.Getpid())
	input := bufio.NewScanner(os.Stdin)
	total := 0
	for input.Scan() {
		total += dotted.Outer(total)
		fmt.Println("called")
	}
}
