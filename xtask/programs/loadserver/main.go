// Command loadserver answers every request with a little JSON, as fast as it
// can, and /page with HTML. That the program can run templates and profile
// itself makes it as large as servers are. The first line on standard output is the loopback address it listens on;
// it ends when its standard input does.
package main

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
)

type page struct {
	Path   string   `json:"path"`
	Agent  string   `json:"agent"`
	Places []string `json:"places"`
}

// handle is the root of a tree.
func handle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	text, err := json.Marshal(page{
		Path: r.URL.Path, Agent: r.UserAgent(), Places: []string{"Oslo", "Lima", "Pune"},
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(text)
}

var html = template.Must(template.New("page").Parse("<p>{{.}}</p>\n"))

func handlePage(w http.ResponseWriter, r *http.Request) {
	if err := html.Execute(w, r.URL.Path); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func main() {
	http.HandleFunc("/", handle)
	http.HandleFunc("/page", handlePage)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "loadserver:", err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	err = http.Serve(listener, nil)
	fmt.Fprintln(os.Stderr, "loadserver:", err)
	os.Exit(1)
}
