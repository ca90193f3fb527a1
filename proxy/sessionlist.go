// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// A SessionID names a live session. A session that became live later has a larger one, and no two sessions of
// a process have the same, nor of two that ran one after the other on a machine. Two processes beside each other may give
// the same one in the same microsecond. 0 names none.
type SessionID uint64

// sessionIDBase makes ids short enough to be read out loud, and of one length until the year 2085, so that
// they sort as text, too.
const sessionIDBase = 36

// String returns the id as it is logged and shown, such as "hr0q8lqxv1".
func (id SessionID) String() string { return strconv.FormatUint(uint64(id), sessionIDBase) }

// MarshalText implements encoding.TextMarshaler.
func (id SessionID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// sessionIDLength is how long an id is; see sessionIDBase.
const sessionIDLength = 10

// UnmarshalText implements encoding.TextUnmarshaler. It takes what String may have returned until now, and nothing that
// merely looks like a number: a misspelt id would stand for a place among the others.
func (id *SessionID) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), sessionIDBase, 64)
	parsed := SessionID(n)
	if err != nil || len(text) != sessionIDLength || parsed.String() != string(text) || parsed > newestID() {
		return fmt.Errorf("%q is no session id", text)
	}
	*id = parsed
	return nil
}

// newestID is above all ids that have been given until now, also if the clock was set back by a day since.
func newestID() SessionID { return SessionID(time.Now().Add(24 * time.Hour).UnixMicro()) }

// A sessionList has the live sessions in the order in which they became live. Adding is O(1), removing and finding
// are logarithmic.
type sessionList struct {
	last       SessionID // given to a session
	entries    []listEntry
	tombstones int // how many entries are of sessions that have left
}

type listEntry struct {
	id      SessionID
	session *session // nil = a tombstone
}

// minTombstones is how many tombstones there may be however few the other entries are.
const minTombstones = 1024

// add puts a session at the end and returns its id, which is the time in microseconds or a little more: as long as fewer
// than a million sessions begin in a second, the next run of the program starts behind this one's last id.
func (l *sessionList) add(s *session) SessionID {
	l.last = max(l.last+1, SessionID(time.Now().UnixMicro()))
	l.entries = append(l.entries, listEntry{l.last, s})
	return l.last
}

// remove leaves a tombstone in the place of a session.
func (l *sessionList) remove(id SessionID) {
	i, found := l.find(id)
	if !found {
		return
	}
	l.entries[i].session = nil
	l.tombstones++
	if l.tombstones > max(minTombstones, len(l.entries)/2) {
		l.entries = slices.DeleteFunc(l.entries, func(e listEntry) bool { return e.session == nil })
		l.tombstones = 0
	}
}

// find returns where the entry with this id is or would be.
func (l *sessionList) find(id SessionID) (int, bool) {
	return slices.BinarySearchFunc(l.entries, id, func(e listEntry, id SessionID) int { return cmp.Compare(e.id, id) })
}

// after appends up to n sessions behind an id to dst, in order.
func (l *sessionList) after(dst []*session, id SessionID, n int) []*session {
	begin, found := l.find(id)
	if found {
		begin++
	}
	for _, e := range l.entries[begin:] {
		if n == 0 {
			break
		}
		if e.session != nil {
			dst = append(dst, e.session)
			n--
		}
	}
	return dst
}

// newest returns the last n sessions, the last one first.
func (l *sessionList) newest(n int) (found []*session) {
	for _, e := range slices.Backward(l.entries) {
		if len(found) == n {
			break
		}
		if e.session != nil {
			found = append(found, e.session)
		}
	}
	return found
}
