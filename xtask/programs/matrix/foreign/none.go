//go:build !callbacks
// +build !callbacks

// Package foreign calls nothing, where there is no C.
package foreign

// Round calls nothing.
func Round() {}
