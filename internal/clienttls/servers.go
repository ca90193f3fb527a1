// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package clienttls

import (
	"crypto/tls"
	"sync"
)

// maxServers is when configurations of servers that have gone are dropped, together
// with all others: what is lost is that sessions with the others are resumed once.
const maxServers = 1000

// Servers have a configuration for each of several servers, with whose tickets TLS
// sessions are resumed. Servers that share a name do not share tickets: to offer one
// server another's is of no use. The zero value is ready. Methods may be called
// concurrently.
type Servers struct {
	mu          sync.Mutex
	credentials *Credentials // that configs are made of
	configs     map[server]*tls.Config
}

type server struct{ addr, name string }

// Config returns the configuration for the server at addr, whose certificate has to be
// for name. With other credentials than the last time, no session of before is resumed.
func (s *Servers) Config(c *Credentials, addr, name string) *tls.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c != s.credentials || len(s.configs) >= maxServers {
		s.credentials, s.configs = c, make(map[server]*tls.Config)
	}
	config := s.configs[server{addr, name}]
	if config == nil {
		config = c.config.Clone()
		config.ServerName = name
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		s.configs[server{addr, name}] = config
	}
	return config
}
