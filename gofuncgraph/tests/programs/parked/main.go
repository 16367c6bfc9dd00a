// Command parked has goroutines inside of calls when a tracer comes. After "ready PID" it obeys
// lines on standard input, and answers each with one line:
//
//	park PATH   makes the calls that PATH spells on a goroutine, one inside the other, and waits
//	            in the innermost; answers "parked"
//	leave       lets all goroutines go on, one after the other; answers "left" when they are over
//	call PATH   makes the calls and does not wait; answers "called"
//
// The letters of a path:
//
//	t  target, which calls leaf before it returns
//	i  the same, called where the compiler does not know it
//	q  quiet, which does not
//	o  other, which calls leaf, and has a large frame
//	d  recovering, which panics, and makes the calls that follow while it does
//	u  unseen, which no test traces
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

func main() {
	indirect = target
	fmt.Println("ready", os.Getpid())
	var parked []*goroutine
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		words := append(strings.Fields(input.Text()), "", "")
		switch words[0] {
		case "park":
			parked = append(parked, start(words[1], true))
			fmt.Println("parked")
		case "call":
			<-start(words[1], false).over
			fmt.Println("called")
		case "leave":
			for _, goroutine := range parked {
				close(goroutine.release)
				<-goroutine.over
			}
			parked = nil
			fmt.Println("left")
		default:
			fmt.Fprintf(os.Stderr, "parked: %q cannot be obeyed\n", input.Text())
			os.Exit(3)
		}
	}
}

// goroutine is one that makes calls.
type goroutine struct {
	reached, release, over chan struct{}
}

// start returns when the goroutine has made its calls.
func start(path string, waits bool) *goroutine {
	g := &goroutine{make(chan struct{}), make(chan struct{}), make(chan struct{})}
	if !waits {
		close(g.release)
	}
	go func() {
		descend(path, g)
		close(g.over)
	}()
	<-g.reached
	return g
}

var indirect func(string, *goroutine)

// The calls below are what a test looks for, so none may be inlined.

//go:noinline
func descend(path string, g *goroutine) {
	if path == "" {
		close(g.reached)
		<-g.release
		return
	}
	rest := path[1:]
	switch path[0] {
	case 't':
		target(rest, g)
	case 'i':
		indirect(rest, g)
	case 'q':
		quiet(rest, g)
	case 'o':
		other(rest, g)
	case 'd':
		recovering(rest, g)
	default:
		unseen(rest, g)
	}
}

//go:noinline
func target(path string, g *goroutine) {
	descend(path, g)
	leaf()
}

//go:noinline
func quiet(path string, g *goroutine) {
	descend(path, g)
}

//go:noinline
func other(path string, g *goroutine) {
	var room [2000]byte
	for i := range path {
		room[i] = path[i]
	}
	descend(string(room[:len(path)]), g)
	leaf()
}

//go:noinline
func recovering(path string, g *goroutine) {
	defer func() { recover() }()
	defer func() { descend(path, g) }()
	panic("told to")
}

//go:noinline
func unseen(path string, g *goroutine) {
	descend(path, g)
	sink++
}

var sink int

//go:noinline
func leaf() {
	sink++
}
