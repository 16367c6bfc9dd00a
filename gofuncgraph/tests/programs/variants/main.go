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

// generic is nil for releases without generics.
var generic func() []string

func main() {
	fmt.Println(increment(outer{&inner{}}), deferring(func() { panic(1) }), len(os.Args))
	if generic != nil {
		fmt.Println(generic())
	}
}
