package main

import "time"

// What is printed. Times are of calls whose keys are known, unless the name says otherwise.
type result struct {
	Calls          int            `json:"calls"`
	CallsPerSecond float64        `json:"callsPerSecond"`
	Accepted       int            `json:"accepted"`
	Refused        int            `json:"refused"`
	Failures       map[string]int `json:"failures"`
	Known          latencies      `json:"known"`
	Unknown        latencies      `json:"unknown"`
	// Microseconds of CPU a call, of all threads of the server's process.
	ServerCPUUs float64 `json:"serverCpuUs"`
	// Of each thread of the server, its part of that CPU time, the greatest first.
	ThreadShares []float64 `json:"threadShares"`
	// How much of a core the load took.
	LoadBusy          float64 `json:"loadBusy"`
	BytesSentACall    float64 `json:"bytesSentACall"`
	BytesReceivedCall float64 `json:"bytesReceivedACall"`
}

type latencies struct {
	CallsPerSecond float64 `json:"callsPerSecond"`
	P50Us          float64 `json:"p50Us"`
	P90Us          float64 `json:"p90Us"`
	P99Us          float64 `json:"p99Us"`
	GreatestUs     float64 `json:"greatestUs"`
}

// A window is the time in which calls are counted; calls are made from before it until its end.
type window struct{ from, to time.Time }

func newWindow(warmUp, duration time.Duration) window {
	from := time.Now().Add(warmUp)
	return window{from, from.Add(duration)}
}

func (w window) counts(now time.Time) bool { return !now.Before(w.from) && now.Before(w.to) }

func (w window) isOpen(now time.Time) bool { return now.Before(w.to) }

// A tally is what one connection saw.
type tally struct {
	known, unknown    histogram
	accepted, refused int
	failures          map[string]int
	// Calls that ended within the window, and all that ended.
	all, ended               int
	bytesSent, bytesReceived int
}

func newTally() *tally { return &tally{failures: map[string]int{}} }

// What an answer says of a key.
type outcome int

const (
	undecided outcome = iota
	accepted
	refused
)

func (t *tally) finish(took time.Duration, said outcome, isUnknown bool) {
	t.all++
	switch said {
	case accepted:
		t.accepted++
	case refused:
		t.refused++
	case undecided:
		t.failures["no decision"]++
	}
	if isUnknown {
		t.unknown.record(took)
		if said == accepted {
			t.failures["an unknown key was accepted"]++
		}
		return
	}
	t.known.record(took)
	if said == refused {
		t.failures["a known key was refused"]++
	}
}

func (t *tally) add(other *tally) {
	t.known.add(&other.known)
	t.unknown.add(&other.unknown)
	t.all += other.all
	t.ended += other.ended
	t.accepted += other.accepted
	t.refused += other.refused
	t.bytesSent += other.bytesSent
	t.bytesReceived += other.bytesReceived
	for what, count := range other.failures {
		t.failures[what] += count
	}
}

func summarize(t *tally, m measured) *result {
	calls, seconds := float64(t.all), m.took.Seconds()
	ended := float64(t.ended)
	return &result{
		Calls:             t.all,
		CallsPerSecond:    calls / seconds,
		Accepted:          t.accepted,
		Refused:           t.refused,
		Failures:          t.failures,
		Known:             t.known.latencies(seconds),
		Unknown:           t.unknown.latencies(seconds),
		ServerCPUUs:       m.serverCPU.Seconds() * 1e6 / calls,
		ThreadShares:      m.threadShares,
		LoadBusy:          m.ownCPU.Seconds() / seconds,
		BytesSentACall:    float64(t.bytesSent) / ended,
		BytesReceivedCall: float64(t.bytesReceived) / ended,
	}
}
