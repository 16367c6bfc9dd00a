//go:build go1.18
// +build go1.18

package main

import "fmt"

type id int

type pair struct {
	X int
	Y []byte
}

type stack[T any] struct{ items []T }

//go:noinline
func (s *stack[T]) Inc() int { return len(s.items) }

//go:noinline
func (s stack[T]) Get() int { return len(s.items) }

type holder[T any] struct{ stack[T] }

//go:noinline
func Map[T, U any](in []T, f func(T) U) []U {
	out := make([]U, 0, len(in))
	each := func(v T) { out = append(out, f(v)) }
	for _, v := range in {
		with(v, each)
	}
	return out
}

//go:noinline
func with[T any](v T, f func(T)) { f(v) }

//go:noinline
func one[T any](v T) string { return fmt.Sprint(v) }

// several is made for two types of one shape.
//
//go:noinline
func several[T any](v T) string { return fmt.Sprint(v) }

func init() { generics = callGenerics }

//go:noinline
func callGenerics() {
	Map([]int{1}, func(n int) string { return fmt.Sprint(n) })
	Map([]pair{{X: 1}}, func(p pair) []byte { return p.Y })
	Map([]struct{ A, B int }{{1, 2}}, func(struct{ A, B int }) map[string][]*pair { return nil })
	one(3.5)
	several(1)
	several(id(2))
	ints, words := &stack[int]{}, stack[string]{}
	callInc(ints)
	callInc(&holder[int]{})
	callGet(words)
	callGet(&words)
	callFunc(ints.Inc)
	(*stack[int]).Inc(ints)
	function := one[uint8]
	function(3)
}
