// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strconv"
	"strings"
)

// The range of VERNEGATE_MAX_CONNECT_SIZE. No CONNECT is larger than the
// longest remaining length plus its fixed header [MQTT 5.0, 1.5.5 and 2.1].
const (
	minConnectSize byteSize = 1 << 10
	maxConnectSize byteSize = 256 << 20
)

// A byteSize is a number of bytes, 1KiB to 256MiB.
type byteSize int

// byteUnits are the suffixes that a size may have, longer ones before those
// that they end with.
var byteUnits = []struct {
	suffix string
	bytes  byteSize
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"B", 1}, {"", 1}}

// UnmarshalText parses "262144", "262144B", "256KiB" or "1MiB".
func (s *byteSize) UnmarshalText(text []byte) error {
	n, ok := parseByteSize(string(text))
	if !ok || n < minConnectSize || n > maxConnectSize {
		return fmt.Errorf("expected a size from %v to %v in bytes, KiB or MiB", minConnectSize, maxConnectSize)
	}
	*s = n
	return nil
}

func parseByteSize(text string) (byteSize, bool) {
	for _, unit := range byteUnits {
		digits, ok := strings.CutSuffix(text, unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 31)
		if err != nil || byteSize(n) > maxConnectSize/unit.bytes {
			return 0, false
		}
		return byteSize(n) * unit.bytes, true
	}
	return 0, false
}

// String writes the size in the largest unit that divides it.
func (s byteSize) String() string {
	switch {
	case s%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", int(s>>20))
	case s%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", int(s>>10))
	}
	return fmt.Sprintf("%dB", int(s))
}
