package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"time"
)

const (
	clientPreface    = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	initialWindow    = 65535
	greatestWindow   = 1<<31 - 1
	readBytes        = 64 << 10
	keptBytes        = 16
	settingTableSize = 0x1
)

// A call that is under way on one stream.
type call struct {
	stream    uint32
	startedAt time.Time
	isUnknown bool
	// How many bytes of the answer have come, and the first of them.
	received int
	first    [keptBytes]byte
}

// An http2Client has a number of calls under way at once. It writes all that one read allows in one write.
type http2Client struct {
	conn       net.Conn
	requests   *requests
	calls      []call
	underWay   int
	waiting    []int
	nextStream uint32
	sendWindow int
	consumed   int
	in, out    []byte
	filled     int
	counts     *tally
}

func newHTTP2Client(conn net.Conn, streams int, r *requests) *http2Client {
	c := &http2Client{
		conn: conn, requests: r, calls: make([]call, streams), nextStream: 1,
		sendWindow: initialWindow, in: make([]byte, readBytes), counts: newTally(),
	}
	c.out = append(c.out, clientPreface...)
	c.appendFrame(frameSettings, 0, 0, nil)
	c.appendWindowUpdate(greatestWindow - initialWindow)
	return c
}

func (c *http2Client) tally() *tally { return c.counts }

func (c *http2Client) warm() error {
	c.start(0, time.Now())
	return c.untilAnswered(window{})
}

func (c *http2Client) run(w window) error {
	now := time.Now()
	for i := range c.calls {
		c.start(i, now)
	}
	return c.untilAnswered(w)
}

func (c *http2Client) untilAnswered(w window) error {
	for {
		if len(c.out) > 0 {
			c.counts.bytesSent += len(c.out)
			if _, err := c.conn.Write(c.out); err != nil {
				return err
			}
			c.out = c.out[:0]
		}
		if c.underWay == 0 && len(c.waiting) == 0 {
			return nil
		}
		n, err := c.conn.Read(c.in[c.filled:])
		if err != nil {
			return fmt.Errorf("the connection ended with calls under way: %w", err)
		}
		c.counts.bytesReceived += n
		c.filled += n
		if err := c.takeFrames(w, time.Now()); err != nil {
			return err
		}
	}
}

// start makes a call in this place, or leaves it waiting for the connection's window (RFC 9113, 6.9).
func (c *http2Client) start(place int, now time.Time) {
	if c.sendWindow < c.requests.bodyBytes() {
		c.waiting = append(c.waiting, place)
		return
	}
	c.sendWindow -= c.requests.bodyBytes()
	one := &c.calls[place]
	*one = call{stream: c.nextStream, startedAt: now}
	c.out, one.isUnknown = c.requests.append(c.out, c.nextStream)
	c.nextStream += 2
	c.underWay++
}

func (c *http2Client) takeFrames(w window, now time.Time) error {
	taken := 0
	for c.filled-taken >= frameHeaderBytes {
		head := c.in[taken:]
		length := int(binary.BigEndian.Uint32(head) >> 8)
		if c.filled-taken < frameHeaderBytes+length {
			break
		}
		stream := binary.BigEndian.Uint32(head[5:]) & greatestWindow
		payload := head[frameHeaderBytes : frameHeaderBytes+length]
		if err := c.takeFrame(head[3], head[4], stream, payload, w, now); err != nil {
			return err
		}
		taken += frameHeaderBytes + length
	}
	c.filled = copy(c.in, c.in[taken:c.filled])
	return nil
}

func (c *http2Client) takeFrame(kind, flags byte, stream uint32, payload []byte, w window, now time.Time) error {
	switch kind {
	case frameData:
		c.takeData(flags, stream, payload)
		c.endIf(flags&flagEndStream != 0, stream, w, now)
	case frameHeaders:
		c.endIf(flags&flagEndStream != 0, stream, w, now)
	case frameRSTStream:
		c.endIf(true, stream, w, now)
	case frameSettings:
		return c.takeSettings(flags, payload)
	case framePing:
		if flags&flagAck == 0 {
			c.appendFrame(framePing, flagAck, 0, payload)
		}
	case frameGoAway:
		return fmt.Errorf("the server sent GOAWAY with code %d", binary.BigEndian.Uint32(payload[4:]))
	case frameWindowUpdate:
		if stream == 0 {
			c.sendWindow += int(binary.BigEndian.Uint32(payload) & greatestWindow)
			waiting := c.waiting
			c.waiting = nil
			for _, place := range waiting {
				c.start(place, now)
			}
		}
	}
	return nil
}

func (c *http2Client) takeData(flags byte, stream uint32, payload []byte) {
	c.consumed += len(payload)
	if c.consumed > greatestWindow/2 {
		c.appendWindowUpdate(c.consumed)
		c.consumed = 0
	}
	if flags&flagPadded != 0 {
		payload = payload[1 : len(payload)-int(payload[0])]
	}
	if one := c.find(stream); one != nil {
		if one.received < keptBytes {
			copy(one.first[one.received:], payload)
		}
		one.received += len(payload)
	}
}

func (c *http2Client) takeSettings(flags byte, payload []byte) error {
	if flags&flagAck != 0 {
		return nil
	}
	for ; len(payload) >= 6; payload = payload[6:] {
		if binary.BigEndian.Uint16(payload) == settingTableSize && binary.BigEndian.Uint32(payload[2:]) < maxTableBytes {
			return fmt.Errorf("the server wants an HPACK table of less than %d bytes", maxTableBytes)
		}
	}
	c.appendFrame(frameSettings, flagAck, 0, nil)
	return nil
}

// endIf ends the call of a stream and, while there is time, makes the next in its place.
func (c *http2Client) endIf(ended bool, stream uint32, w window, now time.Time) {
	if !ended {
		return
	}
	one := c.find(stream)
	if one == nil {
		return
	}
	one.stream = 0
	c.underWay--
	c.counts.ended++
	if w.counts(now) {
		message := one.first[min(prefixBytes, one.received):min(keptBytes, one.received)]
		c.counts.finish(now.Sub(one.startedAt), c.requests.outcomeOf(message), one.isUnknown)
	}
	if w.isOpen(now) {
		for place := range c.calls {
			if &c.calls[place] == one {
				c.start(place, now)
			}
		}
	}
}

// find looks through few enough calls that no map would be faster.
func (c *http2Client) find(stream uint32) *call {
	for i := range c.calls {
		if c.calls[i].stream == stream {
			return &c.calls[i]
		}
	}
	return nil
}

func (c *http2Client) appendFrame(kind, flags byte, stream uint32, payload []byte) {
	var head [frameHeaderBytes]byte
	putFrameHeader(head[:], len(payload), kind, flags, stream)
	c.out = append(append(c.out, head[:]...), payload...)
}

func (c *http2Client) appendWindowUpdate(increment int) {
	c.appendFrame(frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, uint32(increment)))
}
