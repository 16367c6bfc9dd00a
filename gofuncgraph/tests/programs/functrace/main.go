// Command functrace does a bit of everything on several goroutines, once it is told to. The test
// that compares functrace with the tracer builds it a second time with a line
// "defer trace()()" at the beginning of every function that is declared in work.go.
package main

import (
	"bufio"
	"fmt"
	"os"
)

func main() {
	fmt.Println("ready", os.Getpid())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		work()
		fmt.Println("worked")
	}
}
