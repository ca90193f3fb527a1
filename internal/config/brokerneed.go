// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"slices"

	"github.com/vernegate/vernegate/internal/dial"
)

// A brokerNeed is whether /readyz needs a broker that is up.
type brokerNeed uint8

const (
	brokerNeedAuto brokerNeed = iota // when no backend is on this host
	brokerNeedOn
	brokerNeedOff
)

// UnmarshalText parses "auto", "on" or "off".
func (n *brokerNeed) UnmarshalText(text []byte) error {
	switch string(text) {
	case "auto":
		*n = brokerNeedAuto
	case "on":
		*n = brokerNeedOn
	case "off":
		*n = brokerNeedOff
	default:
		return errors.New("expected auto, on or off")
	}
	return nil
}

// NeedsBroker reports whether devices are to be sent elsewhere while no broker is up. A broker beside vernegate has a readiness
// of its own, and shares the fate of the pod: without a word from the operator, only brokers on other hosts count.
func (c Config) NeedsBroker() bool {
	if c.ReadyNeedsBroker == brokerNeedAuto {
		return !slices.ContainsFunc(c.Backends, dial.IsHere) // one beside is always there
	}
	return c.ReadyNeedsBroker == brokerNeedOn
}
