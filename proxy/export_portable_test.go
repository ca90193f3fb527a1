// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux || portable || 386 || s390x

package proxy

// Polls tells that pollers wait for sessions.
const Polls = false
