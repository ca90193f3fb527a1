// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import "sync"

// A Keyed lets no more than Limit of each key be acquired at a time. A key of which nothing is acquired takes no
// memory. Methods may be called concurrently.
type Keyed[K comparable] struct {
	Limit int // 0 = no limit, and nothing is counted

	mu     sync.Mutex
	counts map[K]int // of what is acquired, never 0
}

// Acquire counts one more of a key, unless there are too many.
func (l *Keyed[K]) Acquire(key K) bool {
	if l.Limit == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts[key] >= l.Limit {
		return false
	}
	if l.counts == nil {
		l.counts = make(map[K]int)
	}
	l.counts[key]++
	return true
}

// Release gives back one of a key that was acquired.
func (l *Keyed[K]) Release(key K) {
	if l.Limit == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts[key]--; l.counts[key] == 0 {
		delete(l.counts, key)
	}
}
