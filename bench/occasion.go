// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/vernegate/vernegate/bench/peer"
)

// An occasion is when and where something is measured, and how much else is going on there.
type occasion struct {
	began     time.Time
	busy, own time.Duration // processor time of the machine and of the bench until then
}

func beginOccasion() (*occasion, error) {
	busy, own, err := processorTimes()
	return &occasion{time.Now(), busy, own}, err
}

func processorTimes() (busy, own time.Duration, err error) {
	if busy, err = peer.BusyTime(); err != nil {
		return 0, 0, err
	}
	own, err = peer.OwnTime()
	return busy, own, err
}

// others is how many processors everything but the bench has kept busy until now.
func (o *occasion) others() (float64, error) {
	busy, own, err := processorTimes()
	others := max(0, (busy-o.busy)-(own-o.own))
	return others.Seconds() / time.Since(o.began).Seconds(), err
}

// describe says what it was until now, for those who read the figures.
func (o *occasion) describe(kinds []*peer.Kind) (string, error) {
	others, err := o.others()
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
