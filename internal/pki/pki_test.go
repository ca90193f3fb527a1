// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package pki_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/internal/pki"
)

// The digest of "abc", FIPS 180-2, appendix B.1.
const abcFingerprint = "BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:" +
	"B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD"

func TestFingerprintIsOfTheDER(t *testing.T) {
	t.Parallel()
	fp := pki.FingerprintOf(&x509.Certificate{Raw: []byte("abc")})
	if got := fp.String(); got != abcFingerprint {
		t.Errorf("got %s, want %s", got, abcFingerprint)
	}
}

func TestFingerprintSpellsEveryByte(t *testing.T) {
	t.Parallel()
	for b := range 256 {
		fp := pki.Fingerprint{0: byte(b), sha256.Size - 1: byte(b)}
		got, err := hex.DecodeString(strings.ReplaceAll(fp.String(), ":", ""))
		if err != nil || pki.Fingerprint(got) != fp {
			t.Errorf("byte %#02x: %s reads back as %x, %v", b, fp, got, err)
		}
		if fp.String() != strings.ToUpper(fp.String()) {
			t.Errorf("byte %#02x: %s is not upper-case", b, fp)
		}
	}
}

func TestFingerprintInJSON(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(pki.Fingerprint(sha256.Sum256([]byte("abc"))))
	if want := `"` + abcFingerprint + `"`; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}
