// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package stack starts what vernegate stands between, so that the end-to-end
// tests and the demo run the real binary on real sockets: a test PKI on disk and
// writers that renew it as other programs do, a certificate-acl stand-in, a
// Mosquitto, a fake broker that has VerneMQ's habits, and clients.
//
// It knows nothing of package testing and nothing of vernegate's own packages:
// what it can see of the program is what an operator sees. Everything listens on
// loopback, and what starts something stops it.
package stack
