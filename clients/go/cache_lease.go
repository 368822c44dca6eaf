package tokenauthority

import "time"

// maxApart is how far the two clocks may move apart while a lease runs: a suspended machine, a pause of a virtual one
// that was corrected, a step of the wall clock. What stays below it is in the bound that the authority waits.
const maxApart = 250 * time.Millisecond

// moment is a reading of both clocks of the machine.
type moment struct {
	// monotonic is never set, and may stand still while the machine is suspended.
	monotonic time.Duration
	// wall goes on while the machine is suspended, and may be set.
	wall time.Duration
}

var started = time.Now()

func machineClocks() moment {
	now := time.Now()
	return moment{now.Sub(started), time.Duration(now.UnixNano())}
}

// ahead is how far the wall clock is before the other.
func (m moment) ahead() time.Duration { return m.wall - m.monotonic }

// movedFrom is whether the clocks have moved apart since the other moment.
func (m moment) movedFrom(earlier moment) bool {
	return (m.ahead() - earlier.ahead()).Abs() > maxApart
}

// lease is the right to decide from memory, until a time that the holder counts on both of its clocks, and from before
// it asked: the authority counts from later, and so waits longer.
type lease struct {
	asked    moment
	duration time.Duration
}

type leaseState int

const (
	leaseOver leaseState = iota
	leaseHeld
	// leaseMoved: the clocks moved apart, so that nothing is known of how long anything was kept.
	leaseMoved
)

// Hot path.
func (l *lease) state(now moment) leaseState {
	switch {
	case l == nil:
		return leaseOver
	case now.movedFrom(l.asked):
		return leaseMoved
	case now.monotonic < l.asked.monotonic+l.duration && now.wall < l.asked.wall+l.duration:
		return leaseHeld
	default:
		return leaseOver
	}
}
