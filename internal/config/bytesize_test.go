// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import "testing"

func TestByteSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]byteSize{
		"1024": 1 << 10, "1024B": 1 << 10, "1KiB": 1 << 10, "256KiB": 256 << 10, "256 KiB": 256 << 10,
		"1MiB": 1 << 20, "256MiB": 256 << 20, "1500": 1500, "256K": 256 << 10, "1m": 1 << 20, "1.5MiB": 3 << 19,
	} {
		var got byteSize
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"1023", "0", "-1KiB", "257MiB", "1GiB", "", "KiB", "256X", "256 KiBs", "0x400", "NaN", "Inf",
		"2147483648", "9007199254740993KiB", "18446744073709551615MiB",
	} {
		var got byteSize
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted as %v", text, got)
		}
	}
}

func TestRecordSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]recordSize{"1KiB": 1 << 10, "4096": 4096, "16KiB": 16 << 10, "1023": 0, "17KiB": 0, "-1": 0, "some": 0} {
		var got recordSize
		if err := got.UnmarshalText([]byte(text)); (err == nil) != (want > 0) || got != want {
			t.Errorf("%s: got %d and %v, want %d", text, got, err, want)
		}
	}
}
