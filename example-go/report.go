package main

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"example.com/gofuncgraph/example-go/internal/store"
)

// regression is something that makes /report slower, planted to see whether a
// performance check finds it.
type regression string

const (
	noRegression regression = "none"
	// slowerQuery makes each query take 30 % more time.
	slowerQuery regression = "slower-query"
	// repeatedQuery makes each query twice.
	repeatedQuery regression = "repeated-query"
)

// String is for package flag.
func (r *regression) String() string { return string(*r) }

// Set is for package flag.
func (r *regression) Set(name string) error {
	switch regression(name) {
	case noRegression, slowerQuery, repeatedQuery:
		*r = regression(name)
		return nil
	}
	return fmt.Errorf("want %s, %s or %s", noRegression, slowerQuery, repeatedQuery)
}

// reporter makes the page /report.
type reporter struct {
	store   *store.Store
	planted regression
}

func newReporter(planted regression) *reporter {
	queryTime := 2 * time.Millisecond
	if planted == slowerQuery {
		queryTime += queryTime * 3 / 10
	}
	return &reporter{store.Open(queryTime), planted}
}

// handleReport answers with what all orders come to.
func (r *reporter) handleReport(w http.ResponseWriter, _ *http.Request) {
	orders := r.store.Orders()
	if r.planted == repeatedQuery {
		orders = r.store.Orders()
	}
	writeReport(w, orders)
}

// writeReport writes a line for each order, and their sum.
func writeReport(w io.Writer, orders []store.Order) {
	var sum int64
	for _, order := range orders {
		sum += order.Cents
		fmt.Fprintf(w, "%-8s %8.2f\n", order.Customer, float64(order.Cents)/100)
	}
	fmt.Fprintf(w, "%-8s %8.2f\n", "all", float64(sum)/100)
}
