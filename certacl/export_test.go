// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl

// What the tests of package certacl_test see of the inside.
var ParseOwner = parseOwner

const (
	MaxBody      = maxBody
	StaleBackOff = staleBackOff
)
