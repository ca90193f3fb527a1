// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/vernegate/vernegate/bench/peer"
)

// An environment is when and where something is measured, and how busy other programs keep the machine.
type environment struct {
	began     time.Time
	busy, own time.Duration // processor time of the machine and of the bench until then
}

func newEnvironment() (*environment, error) {
	busy, own, err := processorTimes()
	return &environment{time.Now(), busy, own}, err
}

func processorTimes() (busy, own time.Duration, err error) {
	if busy, err = peer.BusyTime(); err != nil {
		return 0, 0, err
	}
	own, err = peer.OwnTime()
	return busy, own, err
}

// otherLoad is how many processors everything but the bench has kept busy until now.
func (o *environment) otherLoad() (float64, error) {
	busy, own, err := processorTimes()
	others := max(0, (busy-o.busy)-(own-o.own))
	return others.Seconds() / time.Since(o.began).Seconds(), err
}

// describe returns a line for the reader of the figures.
func (o *environment) describe(kinds []*peer.Kind) (string, error) {
	others, err := o.otherLoad()
	if err != nil {
		return "", err
	}
	said := o.began.UTC().Format(time.DateOnly) + ", " + peer.Machine()
	for _, k := range kinds {
		if k.Version != "" {
			said += ", " + k.Version
		}
	}
	if time.Since(o.began) < time.Second { // nothing was measured
		return said + ".", nil
	}
	return fmt.Sprintf("%s. Other programs kept %.2f processors busy meanwhile.", said, others), nil
}
