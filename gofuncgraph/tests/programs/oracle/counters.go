package main

import (
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
)

// counter counts the calls of one function.
type counter struct {
	entered  atomic.Int64
	returned atomic.Int64
	name     atomic.Pointer[string]
}

// counters is only appended to while package variables are initialised.
var counters []*counter

func newCounter() *counter {
	c := new(counter)
	counters = append(counters, c)
	return c
}

// newNamedCounter is for functions that must not have the frame that learning
// their name would need.
func newNamedCounter(name string) *counter {
	c := newCounter()
	c.name.Store(&name)
	return c
}

// enter is the first thing a counted function does.
func (c *counter) enter() {
	if c.entered.Add(1) == 1 && c.name.Load() == nil {
		c.learnName()
	}
}

// leave is the last thing a counted function does before it returns.
func (c *counter) leave() {
	c.returned.Add(1)
}

// learnName stores the name of the function that called enter.
//
//go:noinline
func (c *counter) learnName() {
	pcs := make([]uintptr, 1)
	// Skips runtime.Callers, learnName and enter, whether or not enter is inlined.
	runtime.Callers(3, pcs)
	frame, _ := runtime.CallersFrames(pcs).Next()
	c.name.Store(&frame.Function)
}

func resetCounts() {
	for _, c := range counters {
		c.entered.Store(0)
		c.returned.Store(0)
	}
	sleeps = sleeps[:0]
}

// report must run while no counted call is open: what did not return then was
// unwound.
func report(out io.Writer) {
	for _, s := range sleeps {
		fmt.Fprintln(out, "slept", s.name, s.inner.Nanoseconds(), s.outer.Nanoseconds())
	}
	for _, c := range counters {
		if c.name.Load() == nil {
			continue
		}
		name, entered, returned := *c.name.Load(), c.entered.Load(), c.returned.Load()
		fmt.Fprintln(out, "entered", name, entered)
		fmt.Fprintln(out, "returned", name, returned)
		fmt.Fprintln(out, "unwound", name, entered-returned)
		if returned > entered {
			wrongs.addf("%s returned %d times from %d calls", name, returned, entered)
		}
	}
	found := wrongs.all()
	if len(found) == 0 {
		fmt.Fprintln(out, "ok")
	}
	for _, wrong := range found {
		fmt.Fprintln(out, "wrong:", wrong)
	}
}

// wrongList collects results that are not what they must be.
type wrongList struct {
	mu    sync.Mutex
	found []string
}

var wrongs wrongList

func (w *wrongList) addf(format string, values ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found = append(w.found, fmt.Sprintf(format, values...))
}

func (w *wrongList) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.found...)
}

// expect notes a result that is not the wanted one.
func expect[T comparable](what string, got, want T) {
	if got != want {
		wrongs.addf("%s: got %v, want %v", what, got, want)
	}
}
