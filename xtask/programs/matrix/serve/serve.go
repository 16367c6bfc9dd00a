// Package serve lets a tracer begin before anything is called.
package serve

import (
	"os"

	"example.com/gofuncgraph/matrix/foreign"
	"example.com/gofuncgraph/matrix/work"
)

// Serve prints "ready", waits for a line, calls everything, and prints what happened, then "done".
// It returns at the end of standard input.
func Serve() {
	os.Stdout.WriteString("ready\n")
	letter := make([]byte, 1)
	for {
		if n, err := os.Stdin.Read(letter); err != nil || n == 0 {
			return
		}
		if letter[0] == '\n' {
			work.Round()
			foreign.CallBacks()
			work.Report()
			os.Stdout.WriteString("done\n")
		}
	}
}
