// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"

	"github.com/docker/go-units"
)

// The range of VERNEGATE_MAX_CONNECT_SIZE. No CONNECT is larger than the
// longest remaining length plus its fixed header [MQTT 5.0, 1.5.5 and 2.1].
const (
	minConnectSize byteSize = 1 << 10
	maxConnectSize byteSize = 256 << 20
)

// A byteSize is a number of bytes, 1KiB to 256MiB.
type byteSize int

// UnmarshalText parses a size as Docker does: "262144", "262144B", "256KiB" or
// "1m". The units are powers of 1024, with and without an i.
func (s *byteSize) UnmarshalText(text []byte) error {
	n, err := units.RAMInBytes(string(text))
	if err != nil || n < int64(minConnectSize) || n > int64(maxConnectSize) {
		return fmt.Errorf("expected a size from %v to %v in bytes, KiB or MiB", minConnectSize, maxConnectSize)
	}
	*s = byteSize(n)
	return nil
}

// The range of VERNEGATE_TLS_MAX_RECORD: a record holds 16 KiB at most (RFC
// 8446 §5.1), and below 1 KiB its frame would cost more than it saves.
const (
	minRecordSize byteSize = 1 << 10
	maxRecordSize byteSize = 16 << 10
)

// A recordSize is a number of bytes, 1KiB to 16KiB.
type recordSize byteSize

// UnmarshalText parses a size as byteSize does.
func (s *recordSize) UnmarshalText(text []byte) error {
	n, err := units.RAMInBytes(string(text))
	if err != nil || n < int64(minRecordSize) || n > int64(maxRecordSize) {
		return fmt.Errorf("expected a size from %v to %v in bytes or KiB", minRecordSize, maxRecordSize)
	}
	*s = recordSize(n)
	return nil
}

// String writes the size in a unit that fits, rounded.
func (s byteSize) String() string { return units.BytesSize(float64(s)) }
