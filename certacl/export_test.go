// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl

// What the tests of package certacl_test see of the inside.
var (
	ParseOwner    = parseOwner
	CheckNotFound = checkNotFound
)

const (
	IdleTimeout  = idleTimeout
	MaxBody      = maxBody
	StaleBackOff = staleBackOff
)

// TakeAllSlots leaves c no slot for a request.
func TakeAllSlots(c *Client) {
	c.once.Do(c.init)
	for range cap(c.slots) {
		c.slots <- struct{}{}
	}
}
