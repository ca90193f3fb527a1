// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package tlstest has a TLS client for tests that makes its own records: of any size, of any type, and many in one write.
package tlstest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
)

// Types of records (RFC 8446 §5.1).
const (
	Alert       = 21
	Handshake   = 22
	Application = 23
)

// Messages that carry no bytes of the application.
var (
	KeyUpdate       = []byte{24, 0, 0, 1, 0} // RFC 8446 §4.6.3
	MutualKeyUpdate = []byte{24, 0, 0, 1, 1} // the same, and the other side is to update its key, too
	CloseNotify     = []byte{1, 0}
	UserCanceled    = []byte{1, 90}  // a warning (RFC 8446 §6.1)
	NoRenegotiation = []byte{1, 100} // a warning (RFC 5246 §7.2)
)

// A Client is a TLS client that makes its own records once crypto/tls has shaken hands. What the server says is read
// through crypto/tls; nothing may be written through it.
type Client struct {
	*tls.Conn
	Raw net.Conn // under the TLS connection

	version uint16
	secret  []byte // TLS 1.3: the client's traffic secret
	aead    cipher.AEAD
	iv      []byte
	seq     uint64
}

// New shakes hands on raw with one version of TLS, 1.2 or 1.3, and AES-128-GCM. It fills in the rest of config.
func New(raw net.Conn, config *tls.Config, version uint16) (*Client, error) {
	var keys, heard bytes.Buffer
	config = config.Clone()
	config.MinVersion, config.MaxVersion, config.KeyLogWriter = version, version, &keys
	config.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	c := &Client{Conn: tls.Client(tap{raw, &heard}, config), Raw: raw, version: version}
	if err := c.Handshake(); err != nil {
		return nil, err
	}
	if suite := c.ConnectionState().CipherSuite; version == tls.VersionTLS13 && suite != tls.TLS_AES_128_GCM_SHA256 {
		return nil, fmt.Errorf("this client cannot seal with %s", tls.CipherSuiteName(suite))
	}
	return c, c.setKeys(keys.String(), heard.Bytes())
}

// tap keeps what is read.
type tap struct {
	net.Conn
	heard *bytes.Buffer
}

func (c tap) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	_, _ = c.heard.Write(p[:n])
	return n, err
}

// setKeys derives the client's keys from the key log.
func (c *Client) setKeys(log string, heard []byte) error {
	label := "CLIENT_TRAFFIC_SECRET_0 "
	if c.version == tls.VersionTLS12 {
		label = "CLIENT_RANDOM "
	}
	_, line, found := strings.Cut(log, label)
	if !found {
		return fmt.Errorf("the key log has no %s", label)
	}
	fields := strings.Fields(line)
	random, err := hex.DecodeString(fields[0])
	secret, err2 := hex.DecodeString(fields[1])
	if err != nil || err2 != nil {
		return fmt.Errorf("reading the key log: %v, %v", err, err2)
	}
	if c.version == tls.VersionTLS13 {
		c.secret = secret
		c.rekey()
		return nil
	}
	serverRandom := heard[5+4+2 : 5+4+2+32] // behind the headers of record and message, and the version
	block := prf12(secret, "key expansion", append(bytes.Clone(serverRandom), random...), 2*16+2*4)
	c.aead, c.iv = newGCM(block[:16]), block[32:36]
	c.seq = 1 // 0 was the Finished
	return nil
}

// rekey derives key and IV from the secret (RFC 8446 §7.3).
func (c *Client) rekey() {
	c.aead, c.iv, c.seq = newGCM(expandLabel(c.secret, "key", 16)), expandLabel(c.secret, "iv", 12), 0
}

func newGCM(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// expandLabel is HKDF-Expand-Label without a context (RFC 8446 §7.1).
func expandLabel(secret []byte, label string, size int) []byte {
	label = "tls13 " + label
	info := append(binary.BigEndian.AppendUint16(nil, uint16(size)), byte(len(label)))
	info = append(append(info, label...), 0)
	out, err := hkdf.Expand(sha256.New, secret, string(info), size)
	if err != nil {
		panic(err)
	}
	return out
}

// prf12 is the PRF of TLS 1.2 (RFC 5246 §5).
func prf12(secret []byte, label string, seed []byte, size int) (out []byte) {
	seed = append([]byte(label), seed...)
	mac := func(parts ...[]byte) []byte {
		h := hmac.New(sha256.New, secret)
		for _, p := range parts {
			_, _ = h.Write(p)
		}
		return h.Sum(nil)
	}
	for a := mac(seed); len(out) < size; a = mac(a) {
		out = append(out, mac(a, seed)...)
	}
	return out[:size]
}

// Record returns a record of one type, which the next one comes behind.
func (c *Client) Record(kind byte, data []byte) []byte {
	seq := binary.BigEndian.AppendUint64(nil, c.seq)
	c.seq++
	if c.version == tls.VersionTLS12 {
		header := append([]byte{kind, 3, 3}, binary.BigEndian.AppendUint16(nil, uint16(8+len(data)+16))...)
		aad := append(append(bytes.Clone(seq), kind, 3, 3), binary.BigEndian.AppendUint16(nil, uint16(len(data)))...)
		return c.aead.Seal(append(header, seq...), append(bytes.Clone(c.iv), seq...), data, aad)
	}
	header := append([]byte{Application, 3, 3}, binary.BigEndian.AppendUint16(nil, uint16(len(data)+1+16))...)
	nonce := bytes.Clone(c.iv)
	for i, b := range seq {
		nonce[4+i] ^= b
	}
	return c.aead.Seal(header, nonce, append(bytes.Clone(data), kind), header)
}

// Update returns a record with a KeyUpdate, or with its last bytes; what comes behind it is sealed with the next key (RFC 8446 §7.2).
func (c *Client) Update(message []byte) []byte {
	record := c.Record(Handshake, message)
	c.secret = expandLabel(c.secret, "traffic upd", sha256.Size)
	c.rekey()
	return record
}
