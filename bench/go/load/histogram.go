package main

import (
	"math/bits"
	"time"
)

const (
	// So many steps to a factor of two: a quantile is right to 1.6 %.
	stepBits = 6
	steps    = 1 << stepBits
)

// A histogram of durations, in steps that grow with them.
type histogram struct {
	counts   [(64 - stepBits) * steps]int
	total    int
	greatest time.Duration
}

func (h *histogram) record(took time.Duration) {
	h.counts[stepOf(uint64(took))]++
	h.total++
	h.greatest = max(h.greatest, took)
}

func (h *histogram) add(other *histogram) {
	for i, count := range other.counts {
		h.counts[i] += count
	}
	h.total += other.total
	h.greatest = max(h.greatest, other.greatest)
}

func (h *histogram) latencies(seconds float64) latencies {
	return latencies{
		CallsPerSecond: float64(h.total) / seconds,
		P50Us:          h.quantileUs(0.5),
		P90Us:          h.quantileUs(0.9),
		P99Us:          h.quantileUs(0.99),
		GreatestUs:     float64(h.greatest) / 1000,
	}
}

func (h *histogram) quantileUs(share float64) float64 {
	left := int(share * float64(h.total))
	for step, count := range h.counts {
		if left < count {
			return float64(leastOf(step)) / 1000
		}
		left -= count
	}
	return float64(h.greatest) / 1000
}

// Below 2*steps a step is one nanosecond wide; after that it doubles with each power of two.
func stepOf(ns uint64) int {
	shift := max(0, bits.Len64(ns)-stepBits-1)
	return shift*steps + int(ns>>shift)
}

func leastOf(step int) uint64 {
	if step < 2*steps {
		return uint64(step)
	}
	shift := step/steps - 1
	return uint64(step-shift*steps) << shift
}
