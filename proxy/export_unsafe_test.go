// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !portable

package proxy

// Reconfigures tells that handshakes can go on with another configuration.
const Reconfigures = true
