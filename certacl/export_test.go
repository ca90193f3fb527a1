// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl

// What the tests of package certacl_test see of the inside.
var ParseOwner = parseOwner

const (
	IdleTimeout  = idleTimeout
	MaxBody      = maxBody
	StaleBackOff = staleBackOff
)

// TakeAllPlaces leaves c no place in flight.
func TakeAllPlaces(c *Client) {
	c.once.Do(c.init)
	for range cap(c.places) {
		c.places <- struct{}{}
	}
}
