// Package dotted has a dot in the last element of its path, which the linker escapes.
package dotted

// Node is a receiver.
type Node struct{ n int }

// Outer calls inner and a method.
//
//go:noinline
func Outer(n int) int {
	node := &Node{inner(n)}
	return node.Value()
}

//go:noinline
func inner(n int) int { return n + 1 }

// Value is called by Outer.
//
//go:noinline
func (node *Node) Value() int { return node.n }
