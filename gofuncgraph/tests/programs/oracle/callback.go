package main

/*
#include <pthread.h>

extern int squareInGo(int);

static int call_back(int n) { return squareInGo(n) + squareInGo(n); }

static void *run(void *n) {
	*(int *)n = call_back(*(int *)n);
	return 0;
}

// The same on a thread that Go has not seen.
static int call_back_on_a_thread(int n) {
	pthread_t thread;
	if (pthread_create(&thread, 0, run, &n) != 0) return -1;
	pthread_join(thread, 0);
	return n;
}
*/
import "C"

var (
	throughCCalls = newCounter()
	deeperCalls   = newCounter()
)

func init() {
	stages = append(stages, stage{"callbacks", callbackStage})
}

// callbackStage has C that calls Go, which calls C.
func callbackStage() {
	for i := 0; i < 20; i++ {
		expect("throughC", throughC(3), 18)
		expect("throughC, nested", deeper(4), 18)
		expect("a panic through C", catch(2, func() { throughC(-1) }), true)
		expect("a thread of C", int(C.call_back_on_a_thread(5)), 50)
	}
	onFreshStack(func() { expect("throughC, deep", deeper(200), 18) })
}

//go:noinline
func throughC(n int) int {
	throughCCalls.enter()
	result := int(C.call_back(C.int(n)))
	throughCCalls.leave()
	return result
}

// deeper goes through C at every fourth level.
//
//go:noinline
func deeper(n int) int {
	deeperCalls.enter()
	result := 0
	switch {
	case n == 0:
		result = throughC(3)
	case n%4 == 0 && throughC(2) != 8:
		wrongs.addf("throughC is wrong at level %d", n)
	default:
		result = deeper(n - 1)
	}
	deeperCalls.leave()
	return result
}
