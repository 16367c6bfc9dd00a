// Command host loads a plugin and calls its Serve.
package main

import (
	"os"
	"plugin"
)

func main() {
	loaded, err := plugin.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	serve, err := loaded.Lookup("Serve")
	if err != nil {
		panic(err)
	}
	serve.(func())()
}
