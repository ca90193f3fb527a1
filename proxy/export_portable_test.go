// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux || portable || 386 || s390x

package proxy

// Polls reports whether pollers wait for sessions.
const Polls = false
