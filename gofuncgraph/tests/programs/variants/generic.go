//go:build go1.18
// +build go1.18

package main

import "fmt"

func init() {
	generic = func() []string {
		return Map([]int{1, 2}, func(n int) string { return fmt.Sprint(n) })
	}
}

//go:noinline
func Map[T, U any](in []T, f func(T) U) []U {
	out := make([]U, 0, len(in))
	for _, v := range in {
		out = append(out, f(v))
	}
	return out
}
