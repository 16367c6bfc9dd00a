// Package asm is partly assembly.
package asm

// Add is assembly.
func Add(a, b int) int

// Callback is assembly that calls goCallback.
func Callback() int

//go:noinline
func goCallback() int { return helper(41) }

//go:noinline
func helper(n int) int { return n + 1 }
