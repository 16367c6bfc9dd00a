// Package log writes debug messages, and takes its time over them.
package log

import (
	"fmt"
	"math/rand"
	"os"
	"sync/atomic"
	"time"
)

var maxDelay atomic.Int64

// SetMaxDelay sets the longest that Debug takes.
func SetMaxDelay(delay time.Duration) {
	maxDelay.Store(int64(delay))
}

// Debug writes the message to standard error, after a random part of the
// longest delay: a log shipper that blocks, say.
func Debug(message string) {
	if limit := maxDelay.Load(); limit > 0 {
		time.Sleep(time.Duration(rand.Int63n(limit)))
	}
	fmt.Fprintln(os.Stderr, "debug:", message)
}
