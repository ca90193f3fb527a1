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
// this machine have the same, also not after a restart. 0 names none.
type SessionID uint64

// sessionIDBase makes ids short enough to be read out loud, and of one length until the year 2085, so that
// they sort as text, too.
const sessionIDBase = 36

// String returns the id as it is logged and shown, such as "hr0q8lqxv1".
func (id SessionID) String() string { return strconv.FormatUint(uint64(id), sessionIDBase) }

// MarshalText implements encoding.TextMarshaler.
func (id SessionID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It takes what String returns.
func (id *SessionID) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), sessionIDBase, 64)
	if err != nil || n == 0 {
		return fmt.Errorf("%q is no session id", text)
	}
	*id = SessionID(n)
	return nil
}

// A roll lists the live sessions in the order in which they became live. Entering is O(1), leaving and finding
// a place are logarithmic.
type roll struct {
	last  SessionID // given to a session
	lines []rollLine
	blank int // how many lines are of sessions that have left
}

type rollLine struct {
	id      SessionID
	session *session // nil = has left
}

// minBlank is how many lines may be blank however few the others are.
const minBlank = 1024

// newRoll begins with the time in microseconds: as long as fewer than a million sessions begin in a second, the
// next run of the program starts behind this one's last id.
func newRoll() roll { return roll{last: SessionID(time.Now().UnixMicro())} }

// enter puts a session at the end and returns its id.
func (r *roll) enter(s *session) SessionID {
	r.last++
	r.lines = append(r.lines, rollLine{r.last, s})
	return r.last
}

// leave takes a session out.
func (r *roll) leave(id SessionID) {
	i, found := r.find(id)
	if !found {
		return
	}
	r.lines[i].session = nil
	r.blank++
	if r.blank > max(minBlank, len(r.lines)/2) {
		r.lines = slices.DeleteFunc(r.lines, func(l rollLine) bool { return l.session == nil })
		r.blank = 0
	}
}

// find returns where the line with this id is or would be.
func (r *roll) find(id SessionID) (int, bool) {
	return slices.BinarySearchFunc(r.lines, id, func(l rollLine, id SessionID) int { return cmp.Compare(l.id, id) })
}

// after appends up to n sessions behind an id to dst, in order.
func (r *roll) after(dst []*session, id SessionID, n int) []*session {
	begin, found := r.find(id)
	if found {
		begin++
	}
	for _, l := range r.lines[begin:] {
		if n == 0 {
			break
		}
		if l.session != nil {
			dst = append(dst, l.session)
			n--
		}
	}
	return dst
}

// newest returns the last n sessions, the last one first.
func (r *roll) newest(n int) (list []*session) {
	for _, l := range slices.Backward(r.lines) {
		if len(list) == n {
			break
		}
		if l.session != nil {
			list = append(list, l.session)
		}
	}
	return list
}
