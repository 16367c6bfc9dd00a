// Command plugin is what host loads.
package main

import "example.com/gofuncgraph/matrix/serve"

// Serve is called by host.
func Serve() {
	serve.Serve()
}

func main() {}
