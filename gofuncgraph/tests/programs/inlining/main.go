// Command inlining has functions of which the compiler's messages (-gcflags=-m) tell where it
// inlined them. Each leaves an instruction wherever it is inlined, but for folded.
package main

import (
	"fmt"
	"os"

	"example.com/inlining/helper"
)

type counter struct{ n int }

func (c *counter) add(n int) { c.n += n; helper.Total -= n }

func square(n int) int { helper.Total++; return n * n }

// sumOfSquares has two copies of square in each of its copies.
func sumOfSquares(a, b int) int { helper.Total--; return square(a) + square(b) }

// called has code of its own, because a variable holds it, and is inlined as well.
func called(n int) int { helper.Total <<= 1; return n ^ 5 }

// folded leaves no instruction: the compiler computes it.
func folded(n int) int { return n + 1 }

// kept is never inlined.
//
//go:noinline
func kept(n int) int { return sumOfSquares(n, n+1) + called(n) }

// frameless begins with a copy of a function of another file.
//
//go:noinline
func frameless(n int) int {
	helper.Add(n)
	return n
}

func main() {
	through := []func(int) int{called, kept, frameless}
	helpers := []func(int){helper.Apply}
	var c counter
	for range os.Args {
		c.add(kept(len(os.Args)))
		helper.Add(c.n)
		helper.Apply(c.n)
	}
	total := sumOfSquares(c.n, 2) + folded(3)
	for _, f := range through {
		total += f(total)
	}
	for _, f := range helpers {
		f(total)
	}
	fmt.Println(total, helper.Last([]int{c.n, total}), helper.Last(os.Args))
}
