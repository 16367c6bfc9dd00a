//go:build go1.23

package main

import "iter"

func init() { iterators = callIterators }

//go:noinline
func count(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 0; i < n; i++ {
			if !yield(i) {
				return
			}
		}
	}
}

//go:noinline
func use(i int) int { return i }

//go:noinline
func callIterators() {
	for i := range count(2) {
		defer use(i)
		for j := range count(1) {
			use(j)
		}
	}
	next, stop := iter.Pull(count(5))
	next()
	next()
	stop()
}
