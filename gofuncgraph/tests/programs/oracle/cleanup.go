//go:build go1.24

package main

import "runtime"

var cleanUpCalls = newCounter()

func init() {
	cleanups = func(count int) {
		ended := make(chan struct{}, count)
		for i := 0; i < count; i++ {
			runtime.AddCleanup(&finalized{}, cleanUp, ended)
		}
		collectUntil(ended, count)
	}
}

//go:noinline
func cleanUp(ended chan struct{}) {
	cleanUpCalls.enter()
	expect("a panic in a cleanup", catch(1, explicitPanic), true)
	cleanUpCalls.leave()
	ended <- struct{}{}
}
