// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build portable

package proxy

import "crypto/tls"

func reconfigure(*tls.Conn, *tls.Config) (before *tls.Config) { return nil }
