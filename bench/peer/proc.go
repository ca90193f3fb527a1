// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU time in /proc: USER_HZ is 100 on every Linux that Go runs on.
const clockTick = time.Second / 100

// A stat is what is read of /proc/PID/stat.
type stat struct {
	parent int
	cpu    time.Duration // user and system, with children that have ended and were waited for
}

// parseStat reads the fields behind the name of the program, which is in parentheses and may hold anything.
func parseStat(b []byte) (stat, error) {
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	const parent, userTime, childSystemTime = 1, 11, 14 // fields 4, 14 and 17 of proc(5), of which three are cut off
	if len(fields) <= childSystemTime {
		return stat{}, errors.New("reading CPU time: not a line of /proc/PID/stat")
	}
	var s stat
	var err error
	if s.parent, err = strconv.Atoi(fields[parent]); err != nil {
		return stat{}, fmt.Errorf("reading CPU time: %w", err)
	}
	for _, field := range fields[userTime : childSystemTime+1] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return stat{}, fmt.Errorf("reading CPU time: %w", err)
		}
		s.cpu += time.Duration(ticks) * clockTick
	}
	return s, nil
}

// readStats returns all processes there are; those that end meanwhile are left out.
func readStats() (map[int]stat, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	all := make(map[int]stat, len(files))
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, fmt.Errorf("reading CPU time: %w", err)
		}
		line, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if all[pid], err = parseStat(line); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// descends reports whether a process is root or a descendant of it.
func descends(all map[int]stat, pid, root int) bool {
	for pid != root && pid > 1 {
		pid = all[pid].parent
	}
	return pid == root
}

// processTime returns the CPU time of a process and its descendants.
func processTime(root int) (time.Duration, error) {
	all, err := readStats()
	if err != nil {
		return 0, err
	}
	if _, ok := all[root]; !ok {
		return 0, fmt.Errorf("process %d has ended", root)
	}
	var sum time.Duration
	for pid, s := range all {
		if descends(all, pid, root) {
			sum += s.cpu
		}
	}
	return sum, nil
}

// processMemory returns the memory of a process and its descendants in bytes, with pages that several processes
// have in common divided among them (PSS).
func processMemory(root int) (int64, error) {
	all, err := readStats()
	if err != nil {
		return 0, err
	}
	var sum int64
	for pid := range all {
		if !descends(all, pid, root) {
			continue
		}
		rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, fmt.Errorf("reading memory: %w", err)
		}
		pss, err := parsePSS(rollup)
		if err != nil {
			return 0, err
		}
		sum += pss
	}
	return sum, nil
}

func parsePSS(rollup []byte) (int64, error) {
	for line := range strings.Lines(string(rollup)) {
		if value, ok := strings.CutPrefix(line, "Pss:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("reading memory: smaps_rollup has no line Pss")
}

// BusyTime returns how long all processors together have worked since the machine was started.
func BusyTime() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("reading the machine's CPU time: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	const idle, ioWait, guest = 4, 5, 9 // fields of the first line; guests' time is in user time, too
	var busy time.Duration
	for i, field := range strings.Fields(line) {
		if i == 0 || i == idle || i == ioWait || i >= guest {
			continue
		}
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the machine's CPU time: %w", err)
		}
		busy += time.Duration(ticks) * clockTick
	}
	return busy, nil
}

// OwnTime returns the CPU time of this process and of all that it has started.
func OwnTime() (time.Duration, error) { return processTime(os.Getpid()) }
