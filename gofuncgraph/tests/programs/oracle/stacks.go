package main

import (
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

var (
	descendCalls     = newCounter()
	descendWideCalls = newCounter()
	evenCalls        = newCounter()
	oddCalls         = newCounter()
)

// recursionStage grows fresh stacks to thousands of frames and lets them shrink.
func recursionStage() {
	const depth = 3000
	for i := 0; i < 3; i++ {
		onFreshStack(func() {
			expect("descend", descend(depth, depth-depth/8), depth*(depth+1)/2)
		})
		onFreshStack(func() { expect("descendWide", descendWide(400), 400*401/2) })
	}
	onFreshStack(func() { expect("even", even(1000), true) })
}

// onFreshStack runs f on a new goroutine, whose stack is small, and waits for it.
func onFreshStack(f func()) {
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		f()
	}()
	<-finished
}

// descend adds up 1 to n. On its way back a collection at shrinkAt finds most of
// the stack unused, and moves it to a smaller one.
//
//go:noinline
func descend(n, shrinkAt int) int {
	descendCalls.enter()
	sum := 0
	if n > 0 {
		sum = n + descend(n-1, shrinkAt)
	}
	if n == shrinkAt {
		runtime.GC()
	}
	descendCalls.leave()
	return sum
}

// descendWide is descend with frames of more than a kilobyte.
//
//go:noinline
func descendWide(n int) int {
	descendWideCalls.enter()
	var wide [160]int
	for i := range wide {
		wide[i] = n
	}
	sum := wide[n%len(wide)]
	if n > 0 {
		sum += descendWide(n - 1)
	}
	sum += wide[(n+1)%len(wide)] - n
	descendWideCalls.leave()
	return sum
}

//go:noinline
func even(n int) bool {
	evenCalls.enter()
	result := n == 0 || odd(n-1)
	evenCalls.leave()
	return result
}

//go:noinline
func odd(n int) bool {
	oddCalls.enter()
	result := n != 0 && even(n-1)
	oddCalls.leave()
	return result
}

var (
	workerCalls = newCounter()
	middleCalls = newCounter()
	// A leaf without a frame: it calls nothing, not even to learn its name.
	leafCalls = newNamedCounter("main.leaf")
)

// goroutineStage has all goroutines inside nested calls at the same time.
func goroutineStage() {
	var arrived, finished sync.WaitGroup
	open := make(chan struct{})
	results := make([]int, *goroutines)
	for i := range results {
		arrived.Add(1)
		finished.Add(1)
		go func(i int) {
			defer finished.Done()
			results[i] = worker(i, &arrived, open)
		}(i)
	}
	arrived.Wait()
	close(open)
	finished.Wait()
	for i, result := range results {
		expect("worker", result, 3*(i+1))
	}
}

//go:noinline
func worker(i int, arrived *sync.WaitGroup, open <-chan struct{}) int {
	workerCalls.enter()
	result := middle(i)
	arrived.Done()
	<-open
	result += middle(i) + leaf(i)
	workerCalls.leave()
	return result
}

//go:noinline
func middle(i int) int {
	middleCalls.enter()
	result := leaf(i)
	runtime.Gosched()
	middleCalls.leave()
	return result
}

//go:noinline
func leaf(i int) int {
	leafCalls.entered.Add(1)
	leafCalls.returned.Add(1)
	return i + 1
}

var (
	buildTreeCalls = newCounter()
	sumTreeCalls   = newCounter()
)

type treeNode struct {
	value       int
	left, right *treeNode
	ballast     []byte
}

// garbageStage keeps the collector busy while calls are open.
func garbageStage() {
	defer debug.SetGCPercent(debug.SetGCPercent(5))
	var finished sync.WaitGroup
	for i := 0; i < 4; i++ {
		finished.Add(1)
		go func() {
			defer finished.Done()
			expect("sumTree", sumTree(buildTree(8)), 1<<9-1)
		}()
	}
	finished.Wait()
}

//go:noinline
func buildTree(height int) *treeNode {
	buildTreeCalls.enter()
	node := &treeNode{value: 1, ballast: make([]byte, 4<<10)}
	if height > 0 {
		node.left = buildTree(height - 1)
		node.right = buildTree(height - 1)
	}
	if height == 6 {
		runtime.GC()
	}
	buildTreeCalls.leave()
	return node
}

//go:noinline
func sumTree(node *treeNode) int {
	sumTreeCalls.enter()
	sum := 0
	if node != nil {
		sum = node.value + sumTree(node.left) + sumTree(node.right)
	}
	sumTreeCalls.leave()
	return sum
}

var (
	sleep20msCalls = newCounter()
	sleep50msCalls = newCounter()
)

// sleep is one call of a sleeping function. The call took at least inner and at
// most outer.
type sleep struct {
	name         string
	inner, outer time.Duration
}

var sleeps []sleep

// sleepStage runs on one goroutine, so that the order of sleeps is that of the calls.
func sleepStage() {
	for i := 0; i < 3; i++ {
		before := time.Now()
		inner := sleep20ms()
		sleeps = append(sleeps, sleep{"main.sleep20ms", inner, time.Since(before)})
		before = time.Now()
		inner = sleep50ms()
		sleeps = append(sleeps, sleep{"main.sleep50ms", inner, time.Since(before)})
	}
}

//go:noinline
func sleep20ms() time.Duration {
	sleep20msCalls.enter()
	before := time.Now()
	time.Sleep(20 * time.Millisecond)
	inner := time.Since(before)
	sleep20msCalls.leave()
	return inner
}

//go:noinline
func sleep50ms() time.Duration {
	sleep50msCalls.enter()
	before := time.Now()
	time.Sleep(50 * time.Millisecond)
	inner := time.Since(before)
	sleep50msCalls.leave()
	return inner
}
