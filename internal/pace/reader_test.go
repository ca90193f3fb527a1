// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package pace

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// A reader whose source takes all the time that may be worked pauses before each piece but the first.
func TestReaderPausesBetweenPieces(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789"), 4*pieceSize/10)
	for name, want := range map[string]time.Duration{"throttled": 4 * Pause, "not throttled": 0} {
		synctest.Test(t, func(t *testing.T) {
			var throttle *Throttle
			if want > 0 {
				throttle = NewThrottle(nil)
			}
			source := &slow{Reader: bytes.NewReader(content)}
			began := time.Now()
			got, err := io.ReadAll(throttle.Reader(source))
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s: got %d bytes and %v, want %d", name, len(got), err, len(content))
			}
			paused := time.Since(began) - source.worked
			if source.largest > pieceSize || paused < want || want == 0 && paused > 0 {
				t.Errorf("%s: paused for %v, with pieces of up to %d bytes", name, paused, source.largest)
			}
		})
	}
}

// slow works for each read.
type slow struct {
	io.Reader
	worked  time.Duration
	largest int
}

func (s *slow) Read(b []byte) (int, error) {
	time.Sleep(workTime)
	s.worked += workTime
	s.largest = max(s.largest, len(b))
	return s.Reader.Read(b)
}
