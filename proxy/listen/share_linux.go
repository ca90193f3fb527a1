// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package listen

import "golang.org/x/sys/unix"

// sharePort is the option of sockets that share an address and its connections; 0 = there is none.
const sharePort = unix.SO_REUSEPORT
