// Package work calls functions of many kinds, and counts how often.
package work

import (
	"runtime"
	"sync"
	"time"
)

const (
	depth      = 40
	goroutines = 50
)

var (
	sleptInside, sleptAround int64
	sink                     int
)

// Round calls everything, and returns when all of it is over.
//
//go:noinline
func Round() {
	enter(&round)
	alive := runtime.NumGoroutine()
	sink += descend(depth)
	sink += int(hugeFrame(3)[5])
	add := makeAdder(4)
	for i := 0; i < 100; i++ {
		sink += add(i)
	}
	var sizer interface{ Size() int } = &box{7}
	for i := 0; i < 100; i++ {
		sink += sizer.Size()
	}
	for i := 0; i < 10; i++ {
		sink += recovering(i)
	}
	var group sync.WaitGroup
	for i := 0; i < goroutines; i++ {
		group.Add(2)
		go worker(&group, i)
		go quit(&group, i)
	}
	group.Wait()
	// A goroutine that has said that it is done may still have to return.
	for runtime.NumGoroutine() > alive {
		runtime.Gosched()
	}
	begun := time.Now()
	sleep20ms()
	sleptAround = int64(time.Since(begun))
	exit(&round)
}

// descend moves the stack: it begins on a small one in a new goroutine, too.
//
//go:noinline
func descend(n int) int {
	enter(&descending)
	var frame [64]int
	frame[n%64] = n
	result := frame[0]
	if n > 0 {
		result += descend(n - 1)
	}
	exit(&descending)
	return result + frame[n%64]
}

//go:noinline
func hugeFrame(n int) [9000]byte {
	enter(&huge)
	var frame [9000]byte
	frame[n+2] = byte(n)
	exit(&huge)
	return frame
}

//go:noinline
func worker(group *sync.WaitGroup, n int) {
	enter(&workers)
	for i := 0; i < 5; i++ {
		n += middle(n, float64(i))
	}
	group.Done()
	exit(&workers)
}

//go:noinline
func middle(n int, by float64) int {
	enter(&middles)
	n = leaf(n) + leaf(int(by))
	exit(&middles)
	return n
}

//go:noinline
func leaf(n int) int {
	enter(&leaves)
	exit(&leaves)
	return n ^ 5
}

//go:noinline
func makeAdder(n int) func(int) int {
	enter(&adders)
	add := func(m int) int {
		enter(&added)
		exit(&added)
		return n + m
	}
	exit(&adders)
	return add
}

type box struct{ size int }

//go:noinline
func (b *box) Size() int {
	enter(&sizes)
	exit(&sizes)
	return b.size
}

//go:noinline
func recovering(n int) (result int) {
	enter(&recoverers)
	defer func() {
		enter(&recoverings)
		if recover() != nil {
			result = n
			// Where the panic left it, recovering returns without coming back to its body.
			exit(&recoverers)
		}
		exit(&recoverings)
	}()
	fail(n % 4)
	return 0
}

//go:noinline
func fail(n int) {
	enter(&failing)
	if n == 0 {
		panic("as planned")
	}
	fail(n - 1)
	exit(&failing)
}

//go:noinline
func quit(group *sync.WaitGroup, n int) {
	enter(&quitting)
	defer group.Done()
	leave(n % 3)
	exit(&quitting)
}

//go:noinline
func leave(n int) {
	enter(&leaving)
	if n == 0 {
		runtime.Goexit()
	}
	leave(n - 1)
	exit(&leaving)
}

//go:noinline
func sleep20ms() {
	enter(&sleeping)
	begun := time.Now()
	time.Sleep(20 * time.Millisecond)
	sleptInside = int64(time.Since(begun))
	exit(&sleeping)
}
