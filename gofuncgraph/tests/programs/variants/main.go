// Command variants has a function of each kind that tests look for.
package main

import (
	"errors"
	"fmt"
	"os"
)

type inner struct{ n int }

//go:noinline
func (i *inner) Inc() int { i.n++; return i.n }

type outer struct{ *inner }

type incer interface{ Inc() int }

//go:noinline
func increment(i incer) int { return i.Inc() }

//go:noinline
func deferring(f func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("recovered")
		}
	}()
	f()
	return nil
}

//go:noinline
func Map[T, U any](in []T, f func(T) U) []U {
	out := make([]U, 0, len(in))
	for _, v := range in {
		out = append(out, f(v))
	}
	return out
}

func main() {
	fmt.Println(increment(outer{&inner{}}), deferring(func() { panic(1) }), Map([]int{1, 2}, func(n int) string { return fmt.Sprint(n) }), len(os.Args))
}
