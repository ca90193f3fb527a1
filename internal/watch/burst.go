// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package watch

import "time"

// How files are given time to be written. Programs that write in place, one file
// after the other, leave them empty, cut and inconsistent on the way.
const (
	// QuietTime is how long files have to be quiet before they are read.
	QuietTime = 250 * time.Millisecond

	// Patience is how long quiet is waited for. Reading too early does no
	// harm where what is half-written is refused, or has to settle.
	Patience = 1500 * time.Millisecond

	// SettleDelay is how long what lacks something has to stay as it is before
	// it is believed: longer than a writer pauses between two blocks of a file.
	// Until then a CA that was removed is trusted, say, and one that has come in
	// its place in the same file is not.
	SettleDelay = 2500 * time.Millisecond
)

// A Burst is a number of changes in a row. The zero value has none.
type Burst struct{ began time.Time }

// Changed notes a change, and returns when to read: QuietTime later, as long as
// that is within Patience from the first change.
func (b *Burst) Changed(now time.Time) time.Time {
	if b.began.IsZero() {
		b.began = now
	}
	quiet, latest := now.Add(QuietTime), b.began.Add(Patience)
	if latest.Before(quiet) {
		return latest
	}
	return quiet
}
