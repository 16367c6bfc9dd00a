package netlink

import (
	"sync"
	"syscall"
	"time"
)

// Peer describes the other side of a client.
type Peer struct {
	// ReplyTime passes between a message and its reply.
	ReplyTime time.Duration
	// DropEvery leaves every Nth message unanswered; 0 answers all.
	DropEvery uint64
}

// socket echoes what is written to it, as its peer likes.
type socket struct {
	peer   Peer
	toPeer chan message

	mu     sync.RWMutex // guards closed, and toPeer against a write after its close
	closed bool
}

func newSocket(peer Peer) *socket {
	return &socket{peer: peer, toPeer: make(chan message, 1)}
}

func (s *socket) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.toPeer)
	}
}

func (s *socket) write(m message) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	s.toPeer <- m
	return nil
}

// read blocks until the peer replies to a message, or the socket is closed.
func (s *socket) read() (message, error) {
	for m := range s.toPeer {
		// In a system call, as a read from a real socket would be. time.Sleep
		// would round the reply time up to the poller's milliseconds.
		pause := syscall.NsecToTimespec(int64(s.peer.ReplyTime))
		for syscall.Nanosleep(&pause, &pause) == syscall.EINTR {
		}
		if s.peer.DropEvery == 0 || m.sequence%s.peer.DropEvery != 0 {
			return m, nil
		}
	}
	return message{}, ErrClosed
}
