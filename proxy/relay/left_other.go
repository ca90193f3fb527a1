// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package relay

// HasLeft is false: there is no way to tell without reading.
func (c *Conn) HasLeft() bool { return false }
