// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vernegate/vernegate/truststore"
)

// look is what came of a look at the files, and when.
type look struct {
	at     time.Duration // since the record was begun
	result truststore.Result
}

// record is what a store has logged and told its observer.
type record struct {
	mu    sync.Mutex
	epoch time.Time
	looks []look
	log   strings.Builder
}

// begin forgets what was so far.
func (r *record) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.epoch, r.looks = time.Now(), nil
	r.log.Reset()
}

// observe takes what came of a look.
func (r *record) observe(result truststore.Result, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looks = append(r.looks, look{time.Since(r.epoch), result})
}

// taken returns the looks so far.
func (r *record) taken() []look {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.looks)
}

// Write takes the log.
func (r *record) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(line)
}

// logged returns the log so far.
func (r *record) logged() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}
