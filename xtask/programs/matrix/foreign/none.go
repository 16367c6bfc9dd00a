//go:build !callbacks
// +build !callbacks

// Package foreign calls nothing, where there is no C.
package foreign

// CallBacks calls nothing.
func CallBacks() {}
