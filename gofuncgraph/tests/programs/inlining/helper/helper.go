// Package helper has functions that another package inlines.
package helper

// Total is where every function leaves something that the compiler cannot merge or drop.
var Total int

// Add exists only inlined.
func Add(n int) { Total += n }

// Apply is also called through a variable.
func Apply(n int) { Total ^= n }

// Last is generic; a slice of one type needs other code than a slice of another.
func Last[T any](values []T) T {
	Total |= len(values)
	return values[len(values)-1]
}
