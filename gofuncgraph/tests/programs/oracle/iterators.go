//go:build go1.23

package main

import (
	"iter"
	"runtime"
)

var (
	upToCalls      = newCounter()
	sequenceCalls  = newCounter()
	sumRangeCalls  = newCounter()
	outerBodyCalls = newCounter()
	innerBodyCalls = newCounter()
	sumPulledCalls = newCounter()
	pullAllCalls   = newCounter()
)

func init() {
	stages = append(stages, stage{"iterators", iteratorStage})
}

func iteratorStage() {
	for i := 0; i < 20; i++ {
		expect("sumRange", sumRange(5, 100), 5*(0+1+2+3+4))
		expect("sumRange, left early", sumRange(5, 3), 3)
		expect("a panic in the body of a loop", catch(2, func() { sumRange(5, -1) }), true)

		expect("sumPulled", sumPulled(10, 100), 45)
		expect("sumPulled, stopped early", sumPulled(10, 3), 3)
		expect("a panic in an iterator", catch(2, func() { sumPulled(-1, 100) }), true)
		finished := make(chan struct{})
		go func() {
			defer close(finished)
			runtime.LockOSThread()
			expect("sumPulled on a locked thread", sumPulled(10, 100), 45)
			runtime.UnlockOSThread()
		}()
		<-finished
	}
	expect("pullAll", pullAll(50), 50*10)
}

// upTo gives 0 to n-1; at a negative n it panics.
//
//go:noinline
func upTo(n int) iter.Seq[int] {
	upToCalls.enter()
	sequence := func(yield func(int) bool) {
		sequenceCalls.enter()
		if n < 0 {
			explicitPanic()
		}
		for i := 0; i < n && yield(i); i++ {
		}
		sequenceCalls.leave()
	}
	upToCalls.leave()
	return sequence
}

// sumRange adds up in a loop in a loop, until it has most; with a negative one it panics at once.
//
//go:noinline
func sumRange(n, most int) int {
	sumRangeCalls.enter()
	sum := 0
	for i := range upTo(n) {
		outerBodyCalls.enter()
		for range upTo(n) {
			innerBodyCalls.enter()
			if most < 0 {
				explicitPanic()
			}
			if sum >= most {
				innerBodyCalls.leave()
				outerBodyCalls.leave()
				sumRangeCalls.leave()
				return sum
			}
			sum += min(i, most-sum)
			innerBodyCalls.leave()
		}
		outerBodyCalls.leave()
	}
	sumRangeCalls.leave()
	return sum
}

// sumPulled adds up what it pulls, until it has most. The iterator is on a goroutine of its own.
//
//go:noinline
func sumPulled(n, most int) int {
	sumPulledCalls.enter()
	next, stop := iter.Pull(upTo(n))
	sum := 0
	for {
		value, ok := next()
		if !ok || sum >= most {
			break
		}
		sum += value
	}
	stop()
	sumPulledCalls.leave()
	return sum
}

// pullAll pulls from n iterators by turns.
//
//go:noinline
func pullAll(n int) int {
	pullAllCalls.enter()
	nexts := make([]func() (int, bool), n)
	for i := range nexts {
		next, stop := iter.Pull(upTo(10))
		defer stop()
		nexts[i] = next
	}
	pulled := 0
	for range 11 {
		for _, next := range nexts {
			if _, ok := next(); ok {
				pulled++
			}
		}
	}
	pullAllCalls.leave()
	return pulled
}
