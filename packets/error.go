// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets

import "errors"

// What can be wrong with a packet, matched with errors.Is. An error that
// wraps none of them is the reader's: io.EOF when the stream ended before
// the first byte, io.ErrUnexpectedEOF when it ended inside the packet, a
// timeout, or whatever else Read returned.
var (
	// ErrNotMQTT: the peer speaks some other protocol, or sent another
	// packet before its CONNECT. No answer is owed.
	ErrNotMQTT = errors.New("not an MQTT CONNECT")
	// ErrVersion: an MQTT CONNECT of a level this package does not know.
	ErrVersion = errors.New("unsupported protocol version")
	// ErrMalformed: a CONNECT that breaks its specification.
	ErrMalformed = errors.New("malformed packet")
	// ErrTooLarge: a packet longer than the caller, or MQTT, allows.
	ErrTooLarge = errors.New("packet too large")
	// ErrClientID: a well-formed CONNECT without the client identifier that
	// its version demands.
	ErrClientID = errors.New("client identifier not valid")
	// ErrUsername: a username that MQTT cannot carry.
	ErrUsername = errors.New("username not valid")
	// ErrUnexpected: the broker's first packet is none that may follow a
	// CONNECT.
	ErrUnexpected = errors.New("unexpected packet")
)

// A ConnectError says why a CONNECT was refused. It repeats nothing that the
// client sent but numbers, so it may be logged as it is.
type ConnectError struct {
	// Version is the client's, or of an ErrVersion the one whose answer it
	// most likely reads. It is 0 when it is not known: such a client gets no
	// answer.
	Version Version
	// MaxPacketSize is the one of Connect, as far as the packet could be read.
	MaxPacketSize uint32
	// Kind is ErrNotMQTT, ErrVersion, ErrMalformed, ErrTooLarge or
	// ErrClientID.
	Kind error
	// Clause is the conformance statement that was broken, such as
	// "MQTT-3.1.2-3", or the section, such as "3.1.2.11.3", where the rule
	// stands without a number. It is counted as Version counts; 3.1, which
	// numbers nothing, and clients of unknown version are cited by 3.1.1 and
	// 5.0. It is empty for a limit of ours.
	Clause string
	// Detail names the field and what is wrong with it.
	Detail string
}

func (e *ConnectError) Error() string {
	s := "reading CONNECT: " + e.Kind.Error() + ": " + e.Detail
	if e.Clause != "" {
		s += " [" + e.Clause + "]"
	}
	return s
}

// Unwrap returns Kind.
func (e *ConnectError) Unwrap() error { return e.Kind }

// refusal returns the error for a client of version v that broke rule c.
func refusal(kind error, v Version, c clause, detail string) *ConnectError {
	return &ConnectError{Version: v, Kind: kind, Clause: c.in(v), Detail: detail}
}

// A clause cites one rule in the two numberings that exist: 3.1.1 and 5.0
// renumbered most of what they share.
type clause struct{ v311, v5 string }

// same cites a rule that both specifications number alike.
func same(s string) clause { return clause{v311: s, v5: s} }

// in returns the citation for version v.
func (c clause) in(v Version) string {
	if v == V31 || v == V311 {
		return c.v311
	}
	return c.v5
}
