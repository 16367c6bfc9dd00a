// Package netlink has the shape of a netlink client: a message is sent, and a
// second goroutine receives what the other side acknowledges. The other side is
// simulated by [Peer].
package netlink

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// ackTimeout is how long a sender waits for an acknowledgement.
const ackTimeout = 250 * time.Millisecond

var (
	// ErrTimeout says that no acknowledgement came in time.
	ErrTimeout = errors.New("no acknowledgement in time")
	// ErrClosed says that the client was closed.
	ErrClosed = errors.New("client is closed")
)

type message struct {
	sequence uint64
	payload  []byte
}

// Client sends messages, one at a time. It is safe for concurrent use.
type Client struct {
	socket *socket
	// received holds what fillRecvBuffer took off the socket. An exchange
	// leaves at most one late reply in it, which the next one discards.
	received chan message

	mu       sync.Mutex // held during an exchange
	sequence uint64
}

// Dial connects a new client to the peer. Close it after use.
func Dial(peer Peer) *Client {
	c := &Client{socket: newSocket(peer), received: make(chan message, 2)}
	go c.fillRecvBuffer()
	return c
}

// Close ends the client; a Send under way finishes first.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.socket.close()
}

// Send sends the payload and returns the peer's reply.
func (c *Client) Send(payload []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sequence++
	request := message{sequence: c.sequence, payload: payload}
	reply, err := c.sendWithAck(request)
	if err != nil {
		return nil, fmt.Errorf("message %d: %w", request.sequence, err)
	}
	return reply.payload, nil
}

// sendWithAck writes the request and waits for its acknowledgement.
func (c *Client) sendWithAck(request message) (message, error) {
	if err := c.socket.write(request); err != nil {
		return message{}, err
	}
	return c.readResponse(request.sequence)
}

// readResponse waits for the reply to the request with the given sequence
// number, and drops replies that came too late for theirs.
func (c *Client) readResponse(sequence uint64) (message, error) {
	timeout := time.NewTimer(ackTimeout)
	defer timeout.Stop()
	for {
		select {
		case reply, open := <-c.received:
			if !open {
				return message{}, ErrClosed
			}
			if reply.sequence == sequence {
				return reply, nil
			}
		case <-timeout.C:
			return message{}, ErrTimeout
		}
	}
}

// fillRecvBuffer moves replies from the socket to the senders until the socket
// is closed.
func (c *Client) fillRecvBuffer() {
	defer close(c.received)
	for {
		reply, err := c.socket.read()
		if err != nil {
			return
		}
		c.received <- reply
	}
}
