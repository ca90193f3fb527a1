// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"

	proxyproto "github.com/pires/go-proxyproto"
)

// The sizes of PROXY headers, in bytes. Section numbers are those of the specification,
// https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt.
const (
	proxyV1Shortest = len("PROXY UNKNOWN\r\n") // §2.1
	proxyV1Longest  = 107                      // §2.1, with the line end
	proxyV2Fixed    = 16                       // §2.2: signature, command, family, length
	// proxyV2MaxRest bounds addresses and TLVs of version 2, of which the specification allows 65535 bytes. It
	// is go-proxyproto's limit as well, and leaves room for a client certificate, the largest TLV in use.
	proxyV2MaxRest = 4096
	// proxyGlance is how many bytes tell either version from everything else. It is also the size of a TLS
	// record header, which crypto/tls reports when it is none.
	proxyGlance = 5
)

// errNoProxyHeader is a proxy that did not send a PROXY header first.
var errNoProxyHeader = errors.New("no PROXY header")

// learnAddresses is step 2. The configuration alone says which peers send a PROXY header, and these must: if it were
// taken from every peer, a client could choose its address, escape limits and forge logs.
func (s *session) learnAddresses() error {
	from := ipOf(s.client.RemoteAddr())
	trusted := func(p netip.Prefix) bool { return p.Contains(from) }
	if !slices.ContainsFunc(s.server.cfg.ProxyProtocolFrom, trusted) {
		return nil // a header is no TLS, which ends the handshake
	}
	header, err := readProxyHeader(s.client.NetConn())
	if err == io.EOF {
		return because(ClientClosed, errSaidNothing)
	}
	if err != nil {
		return because(ProxyHeader, err)
	}
	if header.Command.IsLocal() {
		return nil // the proxy speaks for itself: §2.2, and UNKNOWN in §2.1
	}
	remote, local, ok := header.TCPAddrs()
	if !ok {
		return because(ProxyHeader, fmt.Errorf("PROXY header for a client that is not connected by TCP (%#02x)", byte(header.TransportProtocol)))
	}
	s.client.proxied = &addresses{remote, local}
	return nil
}

// readProxyHeader reads one PROXY header from r and not a byte behind it: TLS follows directly, and is read from
// the socket itself. go-proxyproto, which decodes it, would read ahead. io.EOF means that not a single byte came.
func readProxyHeader(r io.Reader) (*proxyproto.Header, error) {
	raw, err := takeProxyHeader(r)
	if err != nil {
		return nil, err
	}
	b := bufio.NewReaderSize(bytes.NewReader(raw), len(raw))
	header, err := proxyproto.Read(b)
	if err != nil {
		return nil, fmt.Errorf("decoding PROXY header: %w", err)
	}
	return header, nil
}

// takeProxyHeader reads what is as long as a PROXY header says it is, without judging the rest of it.
func takeProxyHeader(r io.Reader) ([]byte, error) {
	b, err := extend(r, make([]byte, 0, proxyV1Longest), proxyGlance)
	switch {
	case err != nil:
		return nil, err
	case bytes.Equal(b, proxyproto.SIGV1):
		return takeProxyV1(r, b)
	case beginsProxyHeader(b):
		return takeProxyV2(r, b)
	}
	return nil, errNoProxyHeader
}

// beginsProxyHeader reports whether b, of proxyGlance bytes, is the beginning of a PROXY header.
func beginsProxyHeader(b []byte) bool {
	return bytes.Equal(b, proxyproto.SIGV1) || bytes.Equal(b, proxyproto.SIGV2[:proxyGlance])
}

// takeProxyV1 takes a line. Until its end has come, two bytes are missing, or one behind a CR: nothing else is
// known of its length.
func takeProxyV1(r io.Reader, b []byte) (_ []byte, err error) {
	for n := proxyV1Shortest - len(b); ; n = 2 {
		if b[len(b)-1] == '\r' {
			n = 1
		}
		if b, err = extend(r, b, min(n, proxyV1Longest-len(b))); err != nil {
			return nil, err
		}
		if bytes.IndexByte(b, '\n') >= 0 {
			return b, nil
		}
		if len(b) == proxyV1Longest {
			return nil, fmt.Errorf("PROXY header of version 1 without an end in %d bytes", proxyV1Longest)
		}
	}
}

// takeProxyV2 takes a binary header, whose length is in its fixed part.
func takeProxyV2(r io.Reader, b []byte) ([]byte, error) {
	b, err := extend(r, b, proxyV2Fixed-len(b))
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(b, proxyproto.SIGV2) {
		return nil, errNoProxyHeader
	}
	rest := int(binary.BigEndian.Uint16(b[proxyV2Fixed-2:]))
	if rest > proxyV2MaxRest {
		return nil, fmt.Errorf("PROXY header of version 2 with %d bytes, more than %d", proxyV2Fixed+rest, proxyV2Fixed+proxyV2MaxRest)
	}
	return extend(r, b, rest)
}

// extend reads exactly n bytes more behind b.
func extend(r io.Reader, b []byte, n int) ([]byte, error) {
	had := len(b)
	b = slices.Grow(b, n)[:had+n]
	_, err := io.ReadFull(r, b[had:])
	if err == io.EOF && had > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("reading PROXY header: %w", err)
	}
	return b, err
}

// LocalHeader returns the PROXY header of a connection that is for no client, such as a probe of ours. Version 1 has
// none that VerneMQ survives; its listeners take both versions.
func LocalHeader() []byte {
	b, err := (&proxyproto.Header{Version: 2, Command: proxyproto.LOCAL}).Format()
	if err != nil {
		panic(err) // it is a constant
	}
	return b
}

// appendProxyHeader appends what tells a broker who the client is. Addresses of different families become IPv6
// both. There are no TLVs: VerneMQ would take the one with a certificate's common name for the username.
//
// An address that is none of TCP is an error. The protocol could say "unknown", at which VerneMQ's connection
// handler crashes.
func (c *clientConn) appendProxyHeader(dst []byte, version byte) ([]byte, error) {
	header := proxyproto.HeaderProxyFromAddrs(version, c.RemoteAddr(), c.LocalAddr())
	if !header.Command.IsProxy() {
		return dst, fmt.Errorf("telling the broker about the client: no TCP addresses: %v to %v", c.RemoteAddr(), c.LocalAddr())
	}
	b, err := header.Format()
	if err != nil {
		return dst, fmt.Errorf("telling the broker about the client: %w", err)
	}
	return append(dst, b...), nil
}
