// Command sleeper opens and ends calls when it is told to. After "ready PID" it
// obeys lines on standard input, and answers each with one line:
//
//	call            calls quick; answers "called" when it has returned
//	enter           calls outer, which calls held, on a goroutine; answers "entered"
//	leave           lets the last held call return; answers "left" when outer has returned
//	exit CODE       exits while calls are open
//	panic           panics in a held call and does not recover
//	exec FILE ARG…  replaces the process, with ARG… as its arguments
//
// Other arguments than these are ignored, so that it can be told to exec itself.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// heldCall is a call of outer that has not been told to return.
type heldCall struct {
	release chan string
	over    chan struct{}
}

func main() {
	fmt.Println("ready", os.Getpid())
	var open []heldCall
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		words := strings.Fields(input.Text())
		switch {
		case len(words) == 1 && words[0] == "call":
			quick()
			fmt.Println("called")
		case len(words) == 1 && words[0] == "enter":
			open = append(open, enter())
			fmt.Println("entered")
		case len(words) == 1 && words[0] == "leave" && len(open) > 0:
			last := open[len(open)-1]
			open = open[:len(open)-1]
			last.release <- "leave"
			<-last.over
			fmt.Println("left")
		case len(words) == 2 && words[0] == "exit":
			code, err := strconv.Atoi(words[1])
			if err != nil {
				fail(err)
			}
			os.Exit(code)
		case len(words) == 1 && words[0] == "panic" && len(open) > 0:
			open[len(open)-1].release <- "panic"
			select {} // the panic ends the process
		case len(words) >= 2 && words[0] == "exec":
			fail(syscall.Exec(words[1], words[1:], os.Environ()))
		default:
			fail(fmt.Errorf("%q cannot be obeyed", input.Text()))
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "sleeper:", err)
	os.Exit(3)
}

// enter returns when the call is inside held.
func enter() heldCall {
	call := heldCall{release: make(chan string), over: make(chan struct{})}
	entered := make(chan struct{})
	go func() {
		outer(entered, call.release)
		close(call.over)
	}()
	<-entered
	return call
}

// The calls below are what a test counts, so none may be inlined.

//go:noinline
func outer(entered chan<- struct{}, release <-chan string) {
	held(entered, release)
}

//go:noinline
func held(entered chan<- struct{}, release <-chan string) {
	close(entered)
	if <-release == "panic" {
		panic("told to")
	}
}

//go:noinline
func quick() {
	if os.Getpid() == 0 { // never, but the compiler does not know
		fail(nil)
	}
}
