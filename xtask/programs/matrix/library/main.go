// Command library is what C programs load or link.
package main

import "C"

import "example.com/gofuncgraph/matrix/serve"

//export Serve
func Serve() {
	serve.Serve()
}

func main() {}
