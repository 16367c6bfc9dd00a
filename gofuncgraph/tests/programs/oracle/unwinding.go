package main

import (
	"runtime"
	"sync"
)

var (
	openCodedCalls   = newCounter()
	openCodedDefer   = newCounter()
	deferInLoopCalls = newCounter()
	appendToCalls    = newCounter()
)

func deferStage() {
	for i := 0; i < 100; i++ {
		expect("openCoded", openCoded(i), 2*i+1)
		expect("deferInLoop", deferInLoop(5), 5)
	}
}

//go:noinline
func openCoded(n int) (result int) {
	openCodedCalls.enter()
	defer func() {
		openCodedDefer.enter()
		result++
		openCodedDefer.leave()
	}()
	openCodedCalls.leave()
	return 2 * n
}

//go:noinline
func deferInLoop(n int) int {
	deferInLoopCalls.enter()
	var deferred []int
	func() {
		for i := 0; i < n; i++ {
			defer appendTo(&deferred, i)
		}
	}()
	deferInLoopCalls.leave()
	return len(deferred)
}

//go:noinline
func appendTo(list *[]int, n int) {
	appendToCalls.enter()
	*list = append(*list, n)
	appendToCalls.leave()
}

var (
	catchCalls      = newCounter()
	catchDefer      = newCounter()
	fallCalls       = newCounter()
	explicitCalls   = newCounter()
	dereferenceCall = newCounter()
	indexCalls      = newCounter()
	divideCalls     = newCounter()
	replaceCalls    = newCounter()
	replaceDefer    = newCounter()
	stairDownCalls  = newCounter()
	stairCatchCalls = newCounter()
	stairCatchDefer = newCounter()
)

func panicStage() {
	faults := []func(){explicitPanic, dereferenceNil, indexTooHigh, divideByZero, replacePanic}
	for i := 0; i < 20; i++ {
		for _, fault := range faults {
			for _, levels := range []int{0, 1, 7} {
				expect("a panic was caught", catch(levels, fault), true)
			}
		}
		expect("no panic was caught", catch(3, func() {}), false)
	}
	// The same on a stack that grows between the recovering frame and the panic.
	onFreshStack(func() { expect("a deep panic was caught", catch(2000, explicitPanic), true) })
	recoveries := 0
	stairCatch(30, &recoveries)
	expect("recoveries on the stairs", recoveries, 7)
}

// catch recovers from whatever fault does, levels of fall below it.
//
//go:noinline
func catch(levels int, fault func()) (caught bool) {
	catchCalls.enter()
	defer func() {
		catchDefer.enter()
		leaf(levels) // runs on top of the frames that are about to go
		if recover() != nil {
			caught = true
			catchCalls.leave()
		}
		catchDefer.leave()
	}()
	fall(levels, fault)
	catchCalls.leave()
	return false
}

//go:noinline
func fall(levels int, fault func()) {
	fallCalls.enter()
	if levels == 0 {
		fault()
	} else {
		fall(levels-1, fault)
	}
	fallCalls.leave()
}

//go:noinline
func explicitPanic() {
	explicitCalls.enter()
	panic("explicit")
}

var (
	nilNode *treeNode
	zero    int
)

//go:noinline
func dereferenceNil() {
	dereferenceCall.enter()
	nilNode.value++
	dereferenceCall.leave()
}

//go:noinline
func indexTooHigh() {
	indexCalls.enter()
	counters[len(counters)+zero].enter()
	indexCalls.leave()
}

//go:noinline
func divideByZero() {
	divideCalls.enter()
	zero /= zero
	divideCalls.leave()
}

// replacePanic panics again while its first panic runs the deferred calls.
//
//go:noinline
func replacePanic() {
	replaceCalls.enter()
	defer func() {
		replaceDefer.enter()
		panic("second")
	}()
	panic("first")
}

// stairDown calls down to 0 and panics there. Every fifth step has a recovering
// frame below it, and panics again once that frame has recovered.
//
//go:noinline
func stairDown(n int, recoveries *int) {
	stairDownCalls.enter()
	if n == 0 {
		panic("the bottom")
	}
	if n%5 == 0 {
		stairCatch(n-1, recoveries)
		panic("again")
	}
	stairDown(n-1, recoveries)
	stairDownCalls.leave()
}

//go:noinline
func stairCatch(n int, recoveries *int) {
	stairCatchCalls.enter()
	defer func() {
		stairCatchDefer.enter()
		if recover() != nil {
			*recoveries++
			stairCatchCalls.leave()
		}
		stairCatchDefer.leave()
	}()
	stairDown(n, recoveries)
	stairCatchCalls.leave()
}

var (
	exitRootCalls   = newCounter()
	exitRootDefer   = newCounter()
	exitBelowCalls  = newCounter()
	exitPanicCalls  = newCounter()
	exitPanicDefer  = newCounter()
	afterwardsCalls = newCounter()
)

func goexitStage() {
	var finished sync.WaitGroup
	for i := 0; i < 50; i++ {
		finished.Add(2)
		go exitRoot(i%7, &finished)
		go exitWhilePanicking(&finished)
	}
	finished.Wait()
}

// exitRoot ends its goroutine some levels below it.
//
//go:noinline
func exitRoot(levels int, finished *sync.WaitGroup) {
	exitRootCalls.enter()
	defer finished.Done()
	defer func() {
		exitRootDefer.enter()
		expect("recovered from Goexit", recover(), nil)
		afterwards()
		exitRootDefer.leave()
	}()
	exitBelow(levels)
	exitRootCalls.leave()
}

//go:noinline
func exitBelow(levels int) {
	exitBelowCalls.enter()
	if levels == 0 {
		runtime.Goexit()
	}
	exitBelow(levels - 1)
	exitBelowCalls.leave()
}

// exitWhilePanicking gives up a panic by ending the goroutine in a deferred call.
//
//go:noinline
func exitWhilePanicking(finished *sync.WaitGroup) {
	exitPanicCalls.enter()
	defer finished.Done()
	defer func() {
		exitPanicDefer.enter()
		runtime.Goexit()
	}()
	panic("given up")
}

//go:noinline
func afterwards() {
	afterwardsCalls.enter()
	afterwardsCalls.leave()
}
