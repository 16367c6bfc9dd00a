package main

import (
	"errors"
	"fmt"
	"sort"
	"sync"
)

func work() {
	straight()
	_ = fmt.Sprint(factorial(5))
	mutualEven(4)
	new(shape).area()
	var some fmt.Stringer = value(3)
	_ = some.String()
	sum([]int{1, 2, 3})
	sum([]float64{1, 2})
	recovering(3)
	deferring()
	callback(leaf)
	sorting()
	concurrently()
}

func straight() {
	leaf()
	leaf()
}

func leaf() {
}

func factorial(n int) int {
	if n <= 1 {
		return 1
	}
	return n * factorial(n-1)
}

func mutualEven(n int) bool {
	return n == 0 || mutualOdd(n-1)
}

func mutualOdd(n int) bool {
	return n != 0 && mutualEven(n-1)
}

type shape struct{ side int }

func (s *shape) area() int {
	return s.scaled(s.side)
}

func (s shape) scaled(by int) int {
	return s.side * by
}

type value int

func (v value) String() string {
	return fmt.Sprint(int(v))
}

func sum[T int | float64](numbers []T) T {
	var sum T
	for _, number := range numbers {
		sum = add(sum, number)
	}
	return sum
}

func add[T int | float64](a, b T) T {
	return a + b
}

func recovering(depth int) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("recovered")
		}
	}()
	leaf()
	panicking(depth)
	return nil
}

func panicking(depth int) {
	if depth == 0 {
		panic("at the bottom")
	}
	panicking(depth - 1)
}

func deferring() {
	defer leaf()
	for i := 0; i < 2; i++ {
		defer straight()
	}
	factorial(2)
}

func callback(f func()) {
	f()
}

func sorting() {
	numbers := []int{3, 1, 2}
	sort.Slice(numbers, func(i, j int) bool { return less(numbers[i], numbers[j]) })
}

func less(a, b int) bool {
	return a < b
}

func concurrently() {
	var workers sync.WaitGroup
	for i := 1; i <= 5; i++ {
		workers.Add(1)
		go worker(i, &workers)
	}
	workers.Wait()
}

func worker(number int, workers *sync.WaitGroup) {
	defer workers.Done()
	for i := 0; i < number; i++ {
		factorial(number)
		recovering(i)
	}
}
