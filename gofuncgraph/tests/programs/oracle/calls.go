package main

var (
	applyCalls       = newCounter()
	makeAdderCalls   = newCounter()
	adderCalls       = newCounter()
	fibonacciCalls   = newCounter()
	memoryCalls      = newCounter()
	closureRunsCalls = newCounter()
)

func closureStage() {
	for i := 0; i < 200; i++ {
		expect("apply", apply(makeAdder(i), 10), 10+i)
	}
	expect("closureRuns", closureRuns(12), 144)
}

//go:noinline
func apply(f func(int) int, x int) int {
	applyCalls.enter()
	result := f(x)
	applyCalls.leave()
	return result
}

//go:noinline
func makeAdder(n int) func(int) int {
	makeAdderCalls.enter()
	adder := func(x int) int {
		adderCalls.enter()
		sum := x + n
		adderCalls.leave()
		return sum
	}
	makeAdderCalls.leave()
	return adder
}

// closureRuns has a closure that calls itself, and one that holds state.
//
//go:noinline
func closureRuns(n int) int {
	closureRunsCalls.enter()
	runs := 0
	remember := func(x int) int {
		memoryCalls.enter()
		runs++
		memoryCalls.leave()
		return x
	}
	var fibonacci func(int) int
	fibonacci = func(n int) int {
		fibonacciCalls.enter()
		result := n
		if n > 1 {
			result = fibonacci(n-1) + fibonacci(n-2)
		}
		result = apply(remember, result)
		fibonacciCalls.leave()
		return result
	}
	result := fibonacci(n)
	expect("runs of remember", runs, 465)
	closureRunsCalls.leave()
	return result
}

var (
	mapSliceCalls = newCounter()
	pushCalls     = newCounter()
	popCalls      = newCounter()
	totalCalls    = newCounter()
)

type number interface{ ~int | ~float64 }

// stackOf is used with two shapes.
type stackOf[T any] struct{ items []T }

func genericStage() {
	doubled := mapSlice([]int{1, 2, 3}, func(x int) int { return 2 * x })
	expect("total", total(doubled), 12)
	halves := mapSlice([]string{"a", "bb"}, func(s string) float64 { return float64(len(s)) / 2 })
	expect("total", total(halves), 1.5)

	var numbers stackOf[int]
	var words stackOf[string]
	var pushers = []interface{ push(string) }{&words}
	for i := 0; i < 100; i++ {
		numbers.push(i)
		pushers[0].push("word")
	}
	for i := 99; i >= 0; i-- {
		expect("pop", numbers.pop(), i)
		expect("pop", words.pop(), "word")
	}
}

//go:noinline
func mapSlice[T, U any](items []T, f func(T) U) []U {
	mapSliceCalls.enter()
	var results []U
	for _, item := range items {
		results = append(results, f(item))
	}
	mapSliceCalls.leave()
	return results
}

//go:noinline
func total[T number](items []T) T {
	totalCalls.enter()
	var sum T
	for _, item := range items {
		sum += item
	}
	totalCalls.leave()
	return sum
}

//go:noinline
func (s *stackOf[T]) push(item T) {
	pushCalls.enter()
	s.items = append(s.items, item)
	pushCalls.leave()
}

//go:noinline
func (s *stackOf[T]) pop() T {
	popCalls.enter()
	last := s.items[len(s.items)-1]
	s.items = s.items[:len(s.items)-1]
	popCalls.leave()
	return last
}

var (
	squareAreaCalls = newCounter()
	circleAreaCalls = newCounter()
	innerIncCalls   = newCounter()
	sumAreasCalls   = newCounter()
	callIncCalls    = newCounter()
)

type shape interface{ area() int }

type square struct{ side int }

type circle struct{ radius int }

type incrementer interface{ Inc() int }

type inner struct{ count int }

// byPointer and byValue promote Inc through wrappers of their own.
type byPointer struct{ *inner }

type byValue struct {
	label string
	inner
}

func interfaceStage() {
	// Through *square the compiler's wrapper is called, which calls square.area.
	shapes := []shape{square{2}, &circle{3}, &square{4}}
	for i := 0; i < 100; i++ {
		expect("sumAreas", sumAreas(shapes), 4+27+16)
	}

	shared := new(inner)
	outer := &byValue{label: "outer"}
	incrementers := []incrementer{shared, byPointer{shared}, &byPointer{shared}, outer}
	for i := 0; i < 100; i++ {
		for _, each := range incrementers {
			callInc(each)
		}
	}
	methodValue, methodExpression := shared.Inc, (*inner).Inc
	expect("method value", apply(func(int) int { return methodValue() }, 0), 301)
	expect("method expression", methodExpression(shared), 302)
	expect("promoted", outer.Inc(), 101)
}

//go:noinline
func sumAreas(shapes []shape) int {
	sumAreasCalls.enter()
	sum := 0
	for _, each := range shapes {
		sum += each.area()
	}
	sumAreasCalls.leave()
	return sum
}

//go:noinline
func (s square) area() int {
	squareAreaCalls.enter()
	area := s.side * s.side
	squareAreaCalls.leave()
	return area
}

//go:noinline
func (c *circle) area() int {
	circleAreaCalls.enter()
	area := 3 * c.radius * c.radius
	circleAreaCalls.leave()
	return area
}

//go:noinline
func callInc(each incrementer) int {
	callIncCalls.enter()
	count := each.Inc()
	callIncCalls.leave()
	return count
}

//go:noinline
func (i *inner) Inc() int {
	innerIncCalls.enter()
	i.count++
	count := i.count
	innerIncCalls.leave()
	return count
}
