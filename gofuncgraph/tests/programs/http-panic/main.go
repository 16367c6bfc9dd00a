// Command http-panic is a server with handlers that panic. It prints "ready PID
// ADDRESS" and ends with standard input.
//
//	/panic       panics; net/http recovers, and closes the connection
//	/recovered   panics; a middleware recovers, and the connection lives on
//	/fine        answers
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "http-panic:", err)
		os.Exit(1)
	}
	handlers := http.NewServeMux()
	handlers.HandleFunc("/panic", handlePanic)
	handlers.Handle("/recovered", recovering{http.HandlerFunc(handlePanic)})
	handlers.HandleFunc("/fine", handleFine)
	server := &http.Server{Handler: handlers, ErrorLog: log.New(io.Discard, "", 0)}
	go server.Serve(listener)

	fmt.Println("ready", os.Getpid(), listener.Addr())
	io.Copy(io.Discard, os.Stdin)
	server.Close()
}

func handlePanic(w http.ResponseWriter, r *http.Request) {
	fall(5)
}

// fall panics some levels further down. The compiler would inline every second level.
//
//go:noinline
func fall(levels int) {
	if levels == 0 {
		panic("the handler gives up")
	}
	fall(levels - 1)
}

func handleFine(w http.ResponseWriter, r *http.Request) {
	answer(w, "fine\n")
}

// answer must be seen as a call of its own.
//
//go:noinline
func answer(w http.ResponseWriter, text string) {
	io.WriteString(w, text)
}

// recovering answers 500 for a handler that panics.
type recovering struct{ handler http.Handler }

func (m recovering) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if recover() != nil {
			http.Error(w, "recovered", http.StatusInternalServerError)
		}
	}()
	m.handler.ServeHTTP(w, r)
}
