package main

import (
	"io"
	"net"
	"time"
)

// A rawClient sends some bytes and waits for some, again and again: what the system and the sockets cost alone.
type rawClient struct {
	conn            net.Conn
	request, answer []byte
	counts          *tally
}

func newRawClient(conn net.Conn, requestBytes, answerBytes int) *rawClient {
	return &rawClient{conn, make([]byte, requestBytes), make([]byte, answerBytes), newTally()}
}

func (c *rawClient) tally() *tally { return c.counts }

func (c *rawClient) warm() error { return c.exchange() }

func (c *rawClient) run(w window) error {
	for {
		startedAt := time.Now()
		if err := c.exchange(); err != nil {
			return err
		}
		now := time.Now()
		if w.counts(now) {
			c.counts.finish(now.Sub(startedAt), accepted, false)
		}
		if !w.isOpen(now) {
			return nil
		}
	}
}

func (c *rawClient) exchange() error {
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	_, err := io.ReadFull(c.conn, c.answer)
	c.counts.ended++
	c.counts.bytesSent += len(c.request)
	c.counts.bytesReceived += len(c.answer)
	return err
}
