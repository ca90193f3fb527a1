// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets

const disconnectByte = 0xE0

// AppendDisconnect appends to dst the 5.0 DISCONNECT with which a server ends
// a session; before 5.0 a server only closes the connection. It is the
// shortest form that carries a code: without properties the property length
// may be left out (5.0, 3.14.2.2.1).
func AppendDisconnect(dst []byte, code ReasonCode) []byte {
	return append(dst, disconnectByte, 1, byte(code))
}
