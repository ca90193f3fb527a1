// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"time"

	"github.com/vernegate/vernegate/internal/pki"
)

const Recheckers = recheckers

// NextRecheck is when the owner of a certificate with live sessions is asked for again; zero = never.
func (s *Server) NextRecheck(fp pki.Fingerprint) time.Time {
	c := s.live.certOf(fp)
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	if c.recheck.index == 0 {
		return time.Time{}
	}
	return c.recheck.at
}
