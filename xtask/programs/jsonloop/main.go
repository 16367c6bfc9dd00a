// Command jsonloop is a program of many small calls: for each number on
// standard input it encodes an order as JSON as often, and prints the
// nanoseconds that one took.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"
)

type item struct {
	Name     string            `json:"name"`
	Quantity int               `json:"quantity"`
	Price    float64           `json:"price"`
	Tags     map[string]string `json:"tags,omitempty"`
}

type order struct {
	Number   int       `json:"number"`
	Customer string    `json:"customer"`
	Paid     bool      `json:"paid"`
	At       time.Time `json:"at"`
	Items    []item    `json:"items"`
}

// encode is the root of a tree.
//
//go:noinline
func encode(value *order) int {
	text, err := json.Marshal(value)
	if err != nil {
		fmt.Fprintln(os.Stderr, "jsonloop:", err)
		os.Exit(1)
	}
	return len(text)
}

func main() {
	value := &order{Number: 4711, Customer: "Ada <ada@example.com>", At: time.Unix(1700000000, 0).UTC()}
	for i := 0; i < 4; i++ {
		value.Items = append(value.Items, item{
			Name: "item " + strconv.Itoa(i), Quantity: i, Price: 1.5 * float64(i),
			Tags: map[string]string{"colour": "red", "size": "large"},
		})
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		count, err := strconv.Atoi(lines.Text())
		if err != nil || count < 1 {
			fmt.Fprintln(os.Stderr, "jsonloop: not a number of encodings:", lines.Text())
			os.Exit(2)
		}
		begun := time.Now()
		for i := 0; i < count; i++ {
			value.Number = i
			encode(value)
		}
		fmt.Println(float64(time.Since(begun).Nanoseconds()) / float64(count))
	}
}
