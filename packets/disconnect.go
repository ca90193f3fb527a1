// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets

import "encoding/binary"

const disconnectByte = 0xE0

// AppendDisconnect appends to dst the 5.0 DISCONNECT with which a server ends
// a session; before 5.0 a server only closes the connection. It is the
// shortest form that carries a code: without properties the property length
// may be left out (5.0, 3.14.2.2.1).
func AppendDisconnect(dst []byte, code ReasonCode) []byte {
	return append(dst, disconnectByte, 1, byte(code))
}

// AppendRedirect appends to dst the 5.0 DISCONNECT that sends the client to
// another server for now: code 0x9C with a Server Reference (5.0, 4.11). The
// reference is a UTF-8 string of at most 65535 bytes, one or more "host:port"
// with blanks between them.
func AppendRedirect(dst []byte, reference string) []byte {
	const serverReference = 0x1C
	property := binary.BigEndian.AppendUint16([]byte{serverReference}, uint16(len(reference)))
	property = append(property, reference...)
	body := binary.AppendUvarint([]byte{byte(ReasonUseAnotherServer)}, uint64(len(property)))
	body = append(body, property...)
	return append(binary.AppendUvarint(append(dst, disconnectByte), uint64(len(body))), body...)
}
