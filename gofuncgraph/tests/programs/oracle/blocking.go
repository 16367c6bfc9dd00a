package main

import (
	"sync"
	"time"
)

var (
	produceCalls   = newCounter()
	squareAllCalls = newCounter()
	collectCalls   = newCounter()
	lockedAddCalls = newCounter()
	firstOfCalls   = newCounter()
	waitTurnCalls  = newCounter()
)

// blockingStage has calls open on goroutines that wait for each other.
func blockingStage() {
	numbers, squares := make(chan int), make(chan int, 4)
	go produce(100, numbers)
	go squareAll(numbers, squares)
	expect("collect", collect(squares), 328350)

	var (
		mu       sync.Mutex
		finished sync.WaitGroup
		sum      int
	)
	for i := 0; i < 8; i++ {
		finished.Add(1)
		go func() {
			defer finished.Done()
			for j := 0; j < 100; j++ {
				lockedAdd(&mu, &sum)
			}
		}()
	}
	finished.Wait()
	expect("lockedAdd", sum, 800)

	for i := 0; i < 20; i++ {
		answers := make(chan int, 1)
		// Nobody answers in vain on a slow machine.
		patience := time.Millisecond
		if i%2 == 0 {
			answers <- i
			patience = time.Minute
		}
		expect("firstOf", firstOf(answers, patience), i%2 == 0)
	}

	turns := &turnstile{changed: sync.NewCond(new(sync.Mutex))}
	for i := 0; i < 20; i++ {
		finished.Add(1)
		go func(i int) {
			defer finished.Done()
			turns.wait(i)
		}(19 - i)
	}
	finished.Wait()
	expect("turns", turns.next, 20)
}

//go:noinline
func produce(n int, out chan<- int) {
	produceCalls.enter()
	for i := 0; i < n; i++ {
		out <- i
	}
	close(out)
	produceCalls.leave()
}

//go:noinline
func squareAll(in <-chan int, out chan<- int) {
	squareAllCalls.enter()
	for n := range in {
		out <- n * n
	}
	close(out)
	squareAllCalls.leave()
}

//go:noinline
func collect(in <-chan int) int {
	collectCalls.enter()
	sum := 0
	for n := range in {
		sum += n
	}
	collectCalls.leave()
	return sum
}

//go:noinline
func lockedAdd(mu *sync.Mutex, sum *int) {
	lockedAddCalls.enter()
	mu.Lock()
	*sum++
	mu.Unlock()
	lockedAddCalls.leave()
}

//go:noinline
func firstOf(answers <-chan int, patience time.Duration) bool {
	firstOfCalls.enter()
	answered := false
	select {
	case <-answers:
		answered = true
	case <-time.After(patience):
	}
	firstOfCalls.leave()
	return answered
}

type turnstile struct {
	changed *sync.Cond
	next    int
}

// wait returns when it is turn's turn.
//
//go:noinline
func (t *turnstile) wait(turn int) {
	waitTurnCalls.enter()
	t.changed.L.Lock()
	for t.next != turn {
		t.changed.Wait()
	}
	t.next++
	t.changed.L.Unlock()
	t.changed.Broadcast()
	waitTurnCalls.leave()
}
