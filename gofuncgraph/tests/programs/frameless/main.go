// Command frameless knows how often each of its functions without a frame was
// called, and how each call ended. A test traces it and compares.
//
// It speaks as the oracle does: "ready PID", and for every line "go" on standard
// input one round of calls and the counts. It exits at the end of standard input.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	workers    = 4
	iterations = 250
)

// shape is one counted function. Its caller counts, as the function itself
// could not without changing its code.
type shape struct {
	name string
	// call calls the function once, and says whether the result is right.
	call     func(i int) bool
	entered  atomic.Int64
	returned atomic.Int64
}

type lengther interface{ length() int }

var (
	one    = int32(1)
	small  = &node{value: 3}
	big    = &node{value: 11}
	list   = &node{value: 11, next: small}
	chosen = [...]*node{small, nil, big, list}
)

var shapes = []*shape{
	{name: "main.sign", call: func(i int) bool {
		return sign(i%3-1) == i%3-1
	}},
	{name: "main.sumTo", call: func(i int) bool {
		return sumTo(i%5) == i%5*(i%5-1)/2
	}},
	{name: "main.halvings", call: func(i int) bool {
		return halvings(1<<(i%7)) == i%7
	}},
	{name: "main.spin", call: func(int) bool {
		spin(&one)
		return true
	}},
	{name: "main.gcd", call: func(i int) bool {
		return gcd(12, 18) == 6 && i >= 0
	}},
	{name: "main.add", call: func(i int) bool {
		return add(i, 1) == i+1
	}},
	{name: "main.nothing", call: func(int) bool {
		nothing()
		return true
	}},
	{name: "main.(*node).get", call: func(i int) bool {
		return chosen[i%4].get() > 0
	}},
	{name: "main.(*node).isBig", call: func(i int) bool {
		return chosen[i%4].isBig() == (i%4 == 2)
	}},
	{name: "main.(*node).length", call: func(i int) bool {
		length := [...]int{1, 0, 1, 2}[i%4]
		if i%2 == 0 {
			return chosen[i%4].length() == length
		}
		return lengther(chosen[i%4]).length() == length
	}},
	{name: "main.(*node).orZero", call: func(i int) bool {
		return chosen[i%4].orZero() == [...]int{3, 0, 11, 11}[i%4]
	}},
	{name: "main.(*node).nextValue", call: func(i int) bool {
		return chosen[i%4].nextValue(i%3 == 0) == [...]int{3, 0, 0}[i%3]
	}},
	{name: "main.name", call: func(i int) bool {
		return len(name(i%10)) >= 3
	}},
	{name: "main.machine", call: func(i int) bool {
		return machine(i%9, 20) == [...]int{6, 6, 2, 6, 2, 6, 6, 6, 6}[i%9]
	}},
	{name: "main.many", call: func(i int) bool {
		return many(i%2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1) == [...]int{10, 1}[i%2]
	}},
	{name: "main.pick", call: func(i int) bool {
		return pick([1]int{9}, "abcdefg"[:i%7]) == [...]int{0, 1, 2, 3, 9, 9, 9}[i%7]
	}},
	{name: "main.indexOf", call: func(i int) bool {
		return indexOf("abcdefg", 'a'+byte(i%7)) == i%7
	}},
	{name: "main.at", call: func(i int) bool {
		return at([]int{0, 1}, i%3) == i%3
	}},
	{name: "main.note", call: func(int) bool {
		note()
		return true
	}},
	{name: "main.larger", call: func(i int) bool {
		return larger(1, float64(i%3)) >= 1
	}},
	{name: "main.deferred", call: func(int) bool {
		defer deferred()
		return true
	}},
	{name: "main.nosplit", call: func(i int) bool {
		return nosplit(-i-1) == 0
	}},
	{name: "main.set", call: func(i int) bool {
		var place int
		target := &place
		if i%5 == 0 {
			target = nil
		}
		return set(target, i%7) <= 3
	}},
}

// What other goroutines run, and what other counted functions call.
var startedCalls = &shape{name: "main.started"}

func main() {
	// The profiler's signals fall between all instructions. Nobody reads the samples.
	runtime.SetCPUProfileRate(1000)
	fmt.Println("ready", os.Getpid())
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		round()
	}
}

func round() {
	var wrong atomic.Int64
	var group sync.WaitGroup
	alive := runtime.NumGoroutine()
	for worker := 0; worker < workers; worker++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := 0; i < iterations; i++ {
				for _, shape := range shapes {
					if !shape.run(i) {
						wrong.Add(1)
					}
				}
			}
		}()
	}
	group.Wait()
	for i := 0; i < iterations; i++ {
		startedCalls.entered.Add(1)
		startedCalls.returned.Add(1)
		go started()
	}
	for runtime.NumGoroutine() > alive {
		runtime.Gosched()
	}
	report(wrong.Load())
}

// run calls the function once, whether or not that panics.
func (s *shape) run(i int) (isRight bool) {
	s.entered.Add(1)
	defer func() {
		if recover() == nil {
			s.returned.Add(1)
		} else {
			isRight = true
		}
	}()
	return s.call(i)
}

func report(wrong int64) {
	for _, s := range append(shapes, startedCalls) {
		entered, returned := s.entered.Swap(0), s.returned.Swap(0)
		if s.name == "main.sign" {
			// It is called by nosplit as well.
			entered, returned = entered+workers*iterations, returned+workers*iterations
		}
		fmt.Println("entered", s.name, entered)
		fmt.Println("returned", s.name, returned)
		fmt.Println("unwound", s.name, entered-returned)
	}
	if wrong == 0 {
		fmt.Println("ok")
	} else {
		fmt.Println("wrong:", wrong)
	}
	fmt.Println("done")
}
