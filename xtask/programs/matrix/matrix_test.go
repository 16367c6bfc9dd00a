package main

import "testing"

func TestServe(t *testing.T) {
	main()
}
