package main

import (
	"runtime"
	"runtime/debug"
	"strings"
)

var (
	walkCalls     = newCounter()
	finalizeCalls = newCounter()
)

// callersStage walks stacks all the time: return addresses have to be what they were.
func callersStage() {
	for i := 0; i < 5; i++ {
		onFreshStack(func() { expect("walk", walk(60), 60) })
		expect("a panic that walks", catch(2, func() { panic(walk(5)) }), true)
	}
}

// walk finds itself n times below itself.
//
//go:noinline
func walk(n int) int {
	walkCalls.enter()
	found := 0
	if n > 0 {
		found = walk(n-1) + 1
	} else if !strings.Contains(string(debug.Stack()), "main.walk") {
		wrongs.addf("walk is not on its own stack")
	}
	pcs := make([]uintptr, 200)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for {
		frame, more := frames.Next()
		if frame.Function != "main.walk" {
			break
		}
		if frame.Line == 0 || !more {
			wrongs.addf("a frame of walk makes no sense: %v", frame)
		}
	}
	walkCalls.leave()
	return found
}

type finalized struct {
	ballast [64]int
	ended   chan struct{}
}

// finalizerStage has functions that the runtime calls on a goroutine of its own.
func finalizerStage() {
	const count = 30
	ended := make(chan struct{}, 2*count)
	for i := 0; i < count; i++ {
		runtime.SetFinalizer(&finalized{ended: ended}, finalize)
	}
	collectUntil(ended, count)
	cleanups(count)
}

// collectUntil collects garbage until that many calls have ended.
func collectUntil(ended chan struct{}, count int) {
	for left := count; left > 0; {
		runtime.GC()
		select {
		case <-ended:
			left--
		default:
			runtime.Gosched()
		}
	}
}

//go:noinline
func finalize(object *finalized) {
	finalizeCalls.enter()
	expect("a panic in a finalizer", catch(1, explicitPanic), true)
	ended := object.ended
	finalizeCalls.leave()
	ended <- struct{}{}
}

// cleanups does the same with runtime.AddCleanup, where there is one.
var cleanups = func(count int) {}
