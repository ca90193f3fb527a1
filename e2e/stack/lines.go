// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Lines is the output of a program, kept line by line, to be searched.
// The zero value is empty and ready. It is safe for concurrent use.
type Lines struct {
	mu      sync.Mutex
	lines   []string
	partial []byte        // bytes behind the last newline
	more    chan struct{} // closed by the next line; nil while nothing waits
}

// Write takes output as the program prints it, whole lines or not. It never fails.
func (l *Lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = append(l.partial, p...)
	for {
		line, rest, whole := bytes.Cut(l.partial, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		l.lines = append(l.lines, string(line))
		l.partial = rest
		if l.more != nil {
			close(l.more)
			l.more = nil
		}
	}
}

// All returns the whole lines so far.
func (l *Lines) All() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// String returns everything printed so far, to be searched. A message to a person has the Tail.
func (l *Lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(append(slices.Clone(l.lines), string(l.partial)), "\n")
}

// tailLines is how many lines a person reads to find out what went wrong.
const tailLines = 40

// Tail returns the end of what was printed so far, for a message to a person.
func (l *Lines) Tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := append(slices.Clone(l.lines), string(l.partial))
	if left := len(lines) - tailLines; left > 0 {
		lines = append([]string{fmt.Sprintf("… %d lines before", left)}, lines[left:]...)
	}
	return strings.Join(lines, "\n")
}

// Wait returns the first line that matches, past or future. It fails when ctx ends
// before there is one; the error says what was waited for.
func (l *Lines) Wait(ctx context.Context, what string, match func(line string) bool) (string, error) {
	for seen := 0; ; {
		fresh, more := l.after(seen)
		if i := slices.IndexFunc(fresh, match); i >= 0 {
			return fresh[i], nil
		}
		seen += len(fresh)
		select {
		case <-more:
		case <-ctx.Done():
			return "", fmt.Errorf("waiting for a line about %s: %w", what, ctx.Err())
		}
	}
}

// after returns the lines from the n-th on, and a channel that the next one closes.
func (l *Lines) after(n int) ([]string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more == nil {
		l.more = make(chan struct{})
	}
	return slices.Clone(l.lines[n:]), l.more
}
