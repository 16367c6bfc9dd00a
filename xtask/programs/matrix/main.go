// Command matrix counts its own calls: see `cargo xtask matrix`.
package main

import "example.com/gofuncgraph/matrix/serve"

func main() {
	serve.Serve()
}
