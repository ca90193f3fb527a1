// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets

import "encoding/binary"

// AppendConnect appends to dst a 3.1.1 CONNECT with a username, for a clean
// session and a keep-alive of 10 s. The client id and the username are UTF-8
// strings of at most 1024 bytes.
func AppendConnect(dst []byte, clientID, username string) []byte {
	body := []byte("\x00\x04MQTT\x04\x82\x00\x0a") // flags: username, clean session (3.1.1, 3.1.2.3)
	for _, text := range []string{clientID, username} {
		body = append(binary.BigEndian.AppendUint16(body, uint16(len(text))), text...)
	}
	return append(binary.AppendUvarint(append(dst, connectByte), uint64(len(body))), body...)
}

// AppendLeave appends to dst the 3.1.1 DISCONNECT of a client.
func AppendLeave(dst []byte) []byte { return append(dst, disconnectByte, 0) }
