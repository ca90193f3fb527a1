// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package outbound

// PublicOnly is for tests.
var PublicOnly = publicOnly
