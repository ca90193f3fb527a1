// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Split returns the processor that proxies are to run on and those for the load; both are empty when there is
// only one.
func Split() (proxy, load CPUs, err error) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return nil, nil, fmt.Errorf("asking for processors: %w", err)
	}
	var all CPUs
	for cpu := 0; len(all) < allowed.Count(); cpu++ {
		if allowed.IsSet(cpu) {
			all = append(all, cpu)
		}
	}
	if len(all) < 2 {
		return nil, nil, nil
	}
	return all[:1], all[1:], nil
}

// Confine keeps this process to the processors. Threads that begin later inherit that.
func Confine(cpus CPUs) error {
	if len(cpus) == 0 {
		return nil
	}
	set := cpus.set()
	runtime.GOMAXPROCS(len(cpus))
	for range 2 { // the second time for threads that began meanwhile
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("listing threads: %w", err)
		}
		for _, task := range tasks {
			id, err := strconv.Atoi(task.Name())
			if err != nil {
				return fmt.Errorf("listing threads: %w", err)
			}
			if err := unix.SchedSetaffinity(id, &set); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("confining to processors %v: %w", cpus, err)
			}
		}
	}
	return nil
}

// within runs f on a thread that is confined to the processors. A program that f starts is confined likewise.
func (c CPUs) within(f func() error) error {
	if len(c) == 0 {
		return f()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		set := c.set()
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			done <- fmt.Errorf("confining to processors %v: %w", c, err)
			return
		}
		done <- f()
	}()
	return <-done
}

func (c CPUs) set() unix.CPUSet {
	var set unix.CPUSet
	for _, cpu := range c {
		set.Set(cpu)
	}
	return set
}
