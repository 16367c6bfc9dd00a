// Package store has the shape of a database client. The database is simulated:
// every query takes the same time.
package store

import (
	"syscall"
	"time"
)

// Order is a row of the database.
type Order struct {
	Customer string
	Cents    int64
}

// Store answers queries. It is safe for concurrent use.
type Store struct {
	queryTime time.Duration
}

// Open gives a store whose queries take that long.
func Open(queryTime time.Duration) *Store {
	return &Store{queryTime}
}

// Orders asks the database for all orders.
//
// Performance rules name it, so it must stay a function of its own.
//
//go:noinline
func (s *Store) Orders() []Order {
	// In a system call, as a read from a real socket would be. time.Sleep would
	// round the time up to the poller's milliseconds.
	pause := syscall.NsecToTimespec(int64(s.queryTime))
	for syscall.Nanosleep(&pause, &pause) == syscall.EINTR {
	}
	return []Order{{"Ada", 1250}, {"Grace", 990}, {"Ada", 310}}
}
