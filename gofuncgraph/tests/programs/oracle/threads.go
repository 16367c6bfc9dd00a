package main

import (
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	lockedCalls    = newCounter()
	hopCalls       = newCounter()
	migrateCalls   = newCounter()
	onSignalCalls  = newCounter()
	spinCalls      = newCounter()
	growInsideCall = newCounter()
	wideCalls      = newCounter()
)

// lockedStage has goroutines that keep their threads, and hand values to each other.
func lockedStage() {
	var finished sync.WaitGroup
	left, right := make(chan int, 1), make(chan int)
	for _, ends := range [][2]chan int{{left, right}, {right, left}} {
		in, out := ends[0], ends[1]
		finished.Add(1)
		go func() {
			defer finished.Done()
			runtime.LockOSThread()
			expect("locked", locked(50, in, out), true)
			expect("a panic on a locked thread", catch(3, explicitPanic), true)
			// Ends with the lock held, so that the thread ends, too.
		}()
	}
	left <- 0
	finished.Wait()
	expect("values passed on", <-left, 100)
}

// locked passes n values on, and is always on the same thread.
//
//go:noinline
func locked(n int, in, out chan int) bool {
	lockedCalls.enter()
	thread, same := syscall.Gettid(), true
	for i := 0; i < n; i++ {
		out <- hop(<-in)
		same = same && syscall.Gettid() == thread
	}
	lockedCalls.leave()
	return same
}

//go:noinline
func hop(n int) int {
	hopCalls.enter()
	runtime.Gosched()
	hopCalls.leave()
	return n + 1
}

// migrationStage has calls that begin on one thread and end on another.
func migrationStage() {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	var moved atomic.Int64
	var finished sync.WaitGroup
	for i := 0; i < 16; i++ {
		finished.Add(1)
		go func() {
			defer finished.Done()
			migrate(40, &moved)
			expect("a panic after moving", catch(2, dereferenceNil), true)
		}()
	}
	finished.Wait()
	expect("calls moved to another thread", moved.Load() > 0, true)
}

// migrate sleeps at every level, so that whatever thread is free goes on.
//
//go:noinline
func migrate(n int, moved *atomic.Int64) {
	migrateCalls.enter()
	thread := syscall.Gettid()
	time.Sleep(10 * time.Microsecond)
	if n > 0 {
		migrate(n-1, moved)
	}
	if syscall.Gettid() != thread {
		moved.Add(1)
	}
	migrateCalls.leave()
}

func init() {
	// The goroutine that passes signals on stays for good: it is there before goroutines are counted.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	signal.Stop(signals)
}

// signalStage handles signals, and is interrupted by them.
func signalStage() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	for i := 0; i < 20; i++ {
		if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
			wrongs.addf("kill: %v", err)
			return
		}
		onSignal(<-signals)
		expect("a panic after a signal", catch(1, func() { panic(onSignal(syscall.SIGUSR1)) }), true)
	}
	signal.Stop(signals)

	// Nothing in spin gives way: only a signal can stop it for the collector.
	var running, finished sync.WaitGroup
	var stop atomic.Bool
	for i := 0; i < 2; i++ {
		running.Add(1)
		finished.Add(1)
		go func() {
			defer finished.Done()
			running.Done()
			spin(&stop)
		}()
	}
	running.Wait()
	for i := 0; i < 3; i++ {
		runtime.GC()
	}
	stop.Store(true)
	finished.Wait()
}

//go:noinline
func onSignal(received os.Signal) bool {
	onSignalCalls.enter()
	is := received == syscall.SIGUSR1
	onSignalCalls.leave()
	return is
}

//go:noinline
func spin(stop *atomic.Bool) {
	spinCalls.enter()
	for !stop.Load() {
	}
	spinCalls.leave()
}

// growthStage has stacks that move while calls are open, in calls, in deferred ones and by panics.
func growthStage() {
	for i := 0; i < 20; i++ {
		onFreshStack(func() { expect("growInside", growInside(6), 6*3) })
		onFreshStack(func() {
			expect("a panic where the stack grew", catch(2, func() { panic(growInside(4)) }), true)
		})
		onFreshStack(func() {
			defer func() { expect("growInside, deferred", growInside(3), 3*3) }()
			growInside(1)
		})
	}
}

// growInside calls something with a frame larger than its stack at each level, on its way down and up.
//
//go:noinline
func growInside(n int) int {
	growInsideCall.enter()
	sum := wide(n) + wide(n)
	if n > 1 {
		sum += growInside(n - 1)
	}
	sum += wide(n)
	growInsideCall.leave()
	return sum
}

//go:noinline
func wide(n int) int {
	wideCalls.enter()
	var ballast [3000]int
	ballast[n*400%len(ballast)] = 1
	sum := 0
	for _, each := range ballast {
		sum += each
	}
	wideCalls.leave()
	return sum
}
