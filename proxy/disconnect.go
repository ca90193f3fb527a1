// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

// A disconnect says whose DISCONNECT packet was the last word of a session. Without one the session was lost, whether its
// client vanished, its broker did, or it was ended by us; the Reason says which.
type disconnect uint8

const (
	noDisconnect disconnect = iota
	clientDisconnect
	brokerDisconnect
	endOfDisconnects
)

// String returns the word in logs and metrics.
func (d disconnect) String() string {
	switch d {
	case clientDisconnect:
		return "client"
	case brokerDisconnect:
		return "broker"
	}
	return "none"
}

// disconnect is for a session that has ended. When both sides have sent one, the client's counts: a broker answers it with
// none.
func (s *session) disconnect() disconnect {
	switch {
	case s.up.Disconnected():
		return clientDisconnect
	case s.down.Disconnected():
		return brokerDisconnect
	}
	return noDisconnect
}

// creditClient has a session whose client has said DISCONNECT end by its client. A broker that reads that closes, often before
// the client does.
func (s *session) creditClient() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason == BackendClosed && s.disconnect() == clientDisconnect {
		s.reason = ClientClosed
	}
}
