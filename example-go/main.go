// Command example-go is the server that gofuncgraph's README traces. Two of its
// answers take longer than their code suggests:
//
//   - /bar writes one line, after a debug message that takes up to a second.
//   - /send asks a netlink-like peer, which sometimes never answers.
//
// A third, /report, is what a performance check watches; -regression makes it
// slower.
//
// Nothing in it knows about tracing: build it as it is, run it, and ask where
// the time goes.
//
// The first line on standard output is the address it listens on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.com/gofuncgraph/example-go/internal/log"
	"example.com/gofuncgraph/example-go/internal/netlink"
)

func main() {
	addr := flag.String("addr", ":8080", "address to listen on; port 0 takes a free one")
	maxDelay := flag.Duration("max-delay", time.Second, "the longest a debug message takes")
	dropEvery := flag.Uint64("drop-every", 10, "leave every Nth message of /send unanswered; 0 answers all")
	planted := noRegression
	flag.Var(&planted, "regression", "makes /report slower: none, slower-query or repeated-query")
	flag.Parse()

	if err := run(*addr, *maxDelay, *dropEvery, planted); err != nil {
		fmt.Fprintln(os.Stderr, "example-go:", err)
		os.Exit(1)
	}
}

// run serves until SIGINT or SIGTERM, then lets the requests in flight finish.
func run(addr string, maxDelay time.Duration, dropEvery uint64, planted regression) error {
	log.SetMaxDelay(maxDelay)
	client := netlink.Dial(netlink.Peer{ReplyTime: 600 * time.Microsecond, DropEvery: dropEvery})
	defer client.Close()

	handlers := http.NewServeMux()
	handlers.HandleFunc("/bar", handleBar)
	handlers.HandleFunc("/send", (&sender{client}).handleSend)
	handlers.HandleFunc("/report", newReporter(planted).handleReport)

	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	server := &http.Server{Handler: handlers, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return server.Shutdown(grace)
}

// handleBar looks harmless: it answers with one line.
func handleBar(w http.ResponseWriter, r *http.Request) {
	log.Debug("bar was asked for by " + r.RemoteAddr)
	fmt.Fprintf(w, "Hello, %q\n", r.URL.Path)
}

type sender struct {
	client *netlink.Client
}

// handleSend answers with what the peer said, or 504 if it stayed silent.
func (s *sender) handleSend(w http.ResponseWriter, r *http.Request) {
	reply, err := s.client.Send([]byte(r.URL.RawQuery))
	switch {
	case errors.Is(err, netlink.ErrTimeout):
		http.Error(w, err.Error(), http.StatusGatewayTimeout)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadGateway)
	default:
		fmt.Fprintf(w, "acknowledged %q\n", reply)
	}
}
