package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What the processes spent while calls were counted.
type measured struct {
	took, serverCPU, ownCPU time.Duration
	threadShares            []float64
}

// measure waits for the window to open and to close.
func measure(w window, serverPID int) measured {
	time.Sleep(time.Until(w.from))
	startedAt, own, threads := time.Now(), ownCPU(), threadCPU(serverPID)
	time.Sleep(time.Until(w.to))
	m := measured{took: time.Since(startedAt), ownCPU: ownCPU() - own}
	spent := []time.Duration{}
	for thread, after := range threadCPU(serverPID) {
		spent = append(spent, after-threads[thread])
		m.serverCPU += after - threads[thread]
	}
	slices.SortFunc(spent, func(a, b time.Duration) int { return cmp.Compare(b, a) })
	for _, one := range spent {
		m.threadShares = append(m.threadShares, float64(one)/float64(m.serverCPU))
	}
	return m
}

func ownCPU() time.Duration {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// threadCPU returns the CPU time of each living thread of a process; of none where the system does not tell.
func threadCPU(pid int) map[string]time.Duration {
	times := map[string]time.Duration{}
	// The first number is the time on a core in nanoseconds; /proc/PID/stat has it in hundredths of a second.
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		first, _, _ := strings.Cut(string(text), " ")
		spent, _ := strconv.ParseInt(first, 10, 64)
		times[file] = time.Duration(spent)
	}
	return times
}
