// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/vernegate/vernegate/internal/pki"
)

// Trust is one consistent set of server certificates, CAs and CRLs. It never changes; a change of the files
// gives another Trust. Two are compared with ==, so an implementation has to be comparable.
type Trust interface {
	// ServerCertificates are the pairs to choose from, by SNI and by what the client can verify; for a name that none has, and
	// without a name, the first that the client can verify counts. At least one, each with its Leaf.
	ServerCertificates() []tls.Certificate
	// ClientCAs are the CAs whose clients are welcome.
	ClientCAs() *x509.CertPool
	// Verify decides on a client's certificates, leaf first. chains are those that crypto/tls has built against
	// ClientCAs, in this handshake or in the one that it resumes, under this Trust or an earlier one: what can
	// have changed since is left to check. Without them Verify has to build chains. It returns the chain that it
	// has accepted, leaf first. The error is or wraps pki.ErrRevoked, pki.ErrRevocationUnknown, or one of x509's.
	Verify(peer []*x509.Certificate, chains [][]*x509.Certificate) (chain []*x509.Certificate, err error)
}

// A TicketTrust is a Trust that brings the keys of session tickets, so that servers with the same ones resume each
// other's TLS sessions. The first key seals new tickets, all of them open those that clients show; none leaves it
// to crypto/tls, which makes its own.
type TicketTrust interface {
	Trust
	TicketKeys() [][32]byte
}

// A NamingTrust is a Trust that says whether clients are told the names of its ClientCAs, which helps them to choose a
// certificate, and which may be more than fits into a handshake or into a small client. Other Trusts have them told.
type NamingTrust interface {
	Trust
	NamesCAs() bool
}

// TLSPolicy narrows what crypto/tls would negotiate. The zero value is Go's own policy with TLS 1.2 at least.
type TLSPolicy struct {
	MinVersion       uint16        // tls.VersionTLS12 and so on; 0 = TLS 1.2
	CipherSuites     []uint16      // for TLS 1.2 and below; nil = Go's choice
	CurvePreferences []tls.CurveID // nil = Go's choice, X25519MLKEM768 among them
}

// tlsConfig makes the configuration that all handshakes start from. It holds the session ticket keys of those whose
// Trust brings none, which crypto/tls rotates by itself; everything that can change while running comes from the
// current Trust.
//
// Tickets stay on, as a storm of reconnecting devices needs them. A ticket does not outlive the trust in its certificate:
// crypto/tls calls VerifyConnection (unlike VerifyPeerCertificate) on resumed sessions too.
func tlsConfig(policy TLSPolicy, current func() Trust, search *searchGuard) *tls.Config {
	base := policy.config()
	base.VerifyConnection = func(state tls.ConnectionState) error {
		_, err := acceptedChain(current(), &state)
		return err
	}
	var latest atomic.Pointer[trustConfig]
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		client := hello.Conn.(*clientConn)
		client.slot.greeted = true
		if err := client.slot.begin(); err != nil {
			return nil, err
		}
		trust := current()
		c := latest.Load()
		if c == nil || c.trust != trust {
			c = newTrustConfig(base, trust)
			latest.Store(c)
		}
		configs := &c.configs
		if search.isUp() {
			configs = &c.guarded
		}
		return configs[client.slot.session.protocol][curvesFor(hello)], nil
	}
	return base
}

// config returns what does not depend on a Trust.
func (p TLSPolicy) config() *tls.Config {
	if p.MinVersion == 0 {
		p.MinVersion = tls.VersionTLS12
	}
	return &tls.Config{
		MinVersion:       p.MinVersion,
		CipherSuites:     p.CipherSuites,
		CurvePreferences: p.CurvePreferences,
		ClientAuth:       tls.RequireAndVerifyClientCert,
		// Small records at first are for pages that can be shown in part. A message is of use when all of it is there.
		DynamicRecordSizingDisabled: true,
	}
}

// Handshake returns the configuration of handshakes under a Trust, to try the Trust with. It does not verify whom a
// Server verifies.
func (p TLSPolicy) Handshake(trust Trust) *tls.Config { return forTrust(p.config(), trust) }

// A trustConfig is the configurations for one Trust, made once and not for every handshake.
type trustConfig struct {
	trust   Trust
	configs [endOfProtocols][endOfCurves]*tls.Config
	guarded [endOfProtocols][endOfCurves]*tls.Config // which leave it to Trust.Verify to look for a chain
}

func newTrustConfig(base *tls.Config, trust Trust) *trustConfig {
	c := &trustConfig{trust: trust}
	for protocol, names := range protocolNames {
		all := forTrust(base, trust)
		all.NextProtos = names
		nist := all.Clone()
		nist.CurvePreferences = nistCurves(all.CurvePreferences)
		c.configs[protocol] = [endOfCurves]*tls.Config{allCurves: all, onlyNIST: nist}
		for i, config := range c.configs[protocol] {
			c.guarded[protocol][i] = config.Clone()
			c.guarded[protocol][i].ClientAuth = tls.RequireAnyClientCert
		}
	}
	return c
}

// curves are which of the curves of a TLSPolicy are for a client.
type curves uint8

const (
	allCurves curves = iota
	onlyNIST
	endOfCurves
)

// curvesFor chooses P-256 for clients of TLS 1.2 that know it: in Go it takes a quarter less than X25519, which crypto/tls
// would choose, and does not let us put behind it. In TLS 1.3 the client has chosen already, by the share that it has sent.
func curvesFor(hello *tls.ClientHelloInfo) curves {
	newer := func(version uint16) bool { return version > tls.VersionTLS12 }
	if slices.Contains(hello.SupportedCurves, tls.CurveP256) && !slices.ContainsFunc(hello.SupportedVersions, newer) {
		return onlyNIST
	}
	return allCurves
}

// nistCurves returns those of the curves that are NIST's, or all of them if P-256 is not among them; nil = Go's choice.
func nistCurves(all []tls.CurveID) []tls.CurveID {
	nist := []tls.CurveID{tls.CurveP256, tls.CurveP384, tls.CurveP521}
	switch {
	case all == nil:
		return nist
	case !slices.Contains(all, tls.CurveP256):
		return all
	}
	return slices.DeleteFunc(nist, func(curve tls.CurveID) bool { return !slices.Contains(all, curve) })
}

// forTrust completes base for handshakes that begin under trust. crypto/tls verifies the chain against its CAs, and so
// sends the alert that fits (unknown_ca, certificate_expired); what counts is VerifyConnection, which asks the Trust that
// is current when the handshake ends.
//
// The names that clients are told are the subjects of tls.Config.ClientCAs, and there is no pool that verifies and has
// none. So where they are not told, crypto/tls is given no CAs, and demands a certificate without verifying it:
// VerifyConnection, which gets no chains then, builds them as crypto/tls would have. All that differs is the alert, which
// is bad_certificate whatever was wrong.
func forTrust(base *tls.Config, trust Trust) *tls.Config {
	config := base.Clone()
	config.GetConfigForClient = nil
	config.Certificates = ellipticFirst(trust.ServerCertificates())
	config.GetCertificate = certificateFor(config.Certificates)
	config.ClientCAs = trust.ClientCAs()
	if t, ok := trust.(NamingTrust); ok && !t.NamesCAs() {
		config.ClientCAs, config.ClientAuth = nil, tls.RequireAnyClientCert
	}
	sealing := base
	if t, ok := trust.(TicketTrust); ok && len(t.TicketKeys()) > 0 {
		config.SetSessionTicketKeys(t.TicketKeys())
		sealing = config
	}
	config.WrapSession = boundedTicket(sealing)
	return config
}

// maxTicketSize bounds session tickets, in bytes. crypto/tls puts into them the certificates that the client has sent, and
// the chains that it has built from them; the client sends them in its ClientHello (see maxReceived).
const maxTicketSize = 8 << 10

// boundedTicket returns a tls.Config.WrapSession that seals with the keys of sealing. A client whose certificates do not fit
// gets a ticket that opens nothing, as TLS 1.3 has no empty one: its next handshake is a full one.
func boundedTicket(sealing *tls.Config) func(tls.ConnectionState, *tls.SessionState) ([]byte, error) {
	return func(state tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		ticket, err := sealing.EncryptTicket(state, session)
		if len(ticket) > maxTicketSize {
			ticket = []byte{0}
		}
		return ticket, err
	}
}

// acceptChain asks the current Trust for the chain that it accepts, which the session is bound to from now on.
// VerifyConnection has asked the same, but it is not told for which connection; and a tls.Config for each connection, which
// crypto/tls keeps, would take half a kilobyte of a session. So a client that is revoked between the two gets no alert.
func (s *session) acceptChain() error {
	state := s.tls.ConnectionState()
	trust := s.server.cfg.Trust()
	chain, err := acceptedChain(trust, &state)
	if err != nil {
		return err
	}
	s.newcomer.chain, s.newcomer.trust = chain, trust
	return nil
}

// acceptedChain returns the chain that trust accepts of a client. There is none without one, and none that is too large
// to be held for as long as a session lives.
func acceptedChain(trust Trust, state *tls.ConnectionState) ([]*x509.Certificate, error) {
	chain, err := trust.Verify(state.PeerCertificates, state.VerifiedChains)
	if err != nil {
		return nil, err
	}
	if len(chain) == 0 {
		return nil, errNoChain
	}
	if size := sizeOf(chain[1:]); size > maxIssuersSize {
		return nil, fmt.Errorf("%w: %d bytes above the client's, more than %d", errChainTooLarge, size, maxIssuersSize)
	}
	return chain, nil
}

// maxIssuersSize bounds the certificates above a client's, in bytes of DER. A client of a CA that lets it issue
// certificates chooses how many there are. An RSA certificate takes 1 to 2 kB.
const maxIssuersSize = 16 << 10

// sizeOf returns how many bytes of DER certificates have.
func sizeOf(certs []*x509.Certificate) (size int) {
	for _, cert := range certs {
		size += len(cert.Raw)
	}
	return size
}

// Chains that no session can be bound to.
var (
	errNoChain       = errors.New("no chain of certificates was accepted")
	errChainTooLarge = errors.New("certificates are too large")
)

// errSaidNothing marks a connection that was closed before its first byte, as load balancers' health checks
// are. It is logged for developers, not for operators.
var errSaidNothing = errors.New("closed before the first byte")

// noCertificate is how crypto/tls words the one failure for which it has neither a type nor a sentinel. The
// alternative, to ask for a certificate without demanding one, would cost the client the alert that says what
// is wrong (certificate_required). A test shakes hands without a certificate in every TLS version; should the
// words change, the reason falls back to TLSHandshake.
const noCertificate = "tls: client didn't provide a certificate"

// unparsable is how crypto/tls begins the error for a client certificate that crypto/x509 cannot parse, which has no type
// either. It does not hand out the bytes. A test sends such certificates.
const unparsable = "tls: failed to parse client certificate: "

// handshakeReason classifies a failed handshake.
func handshakeReason(err error) Reason {
	var (
		untrusted *tls.CertificateVerificationError
		unknown   x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		critical  x509.UnhandledCriticalExtension
		notTLS    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &notTLS) && beginsProxyHeader(notTLS.RecordHeader[:]):
		return ProxyHeader
	case errors.Is(err, errTooManyHandshakes):
		return RateLimited
	case errors.Is(err, os.ErrDeadlineExceeded):
		return TLSTimeout
	case errors.Is(err, pki.ErrRevoked):
		return TLSRevoked
	case errors.Is(err, pki.ErrRevocationUnknown):
		return TLSCRL
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return TLSExpired
	case errors.As(err, &untrusted), errors.As(err, &unknown), errors.As(err, &invalid), errors.As(err, &critical),
		errors.Is(err, errNoChain), errors.Is(err, errChainTooLarge):
		return TLSUntrusted
	case err.Error() == noCertificate:
		return TLSNoCert
	case strings.HasPrefix(err.Error(), unparsable):
		return TLSBadCertificate
	}
	return TLSHandshake
}

// certificateFor returns how a pair is chosen for a client that names a server; crypto/tls does not ask it for others. It
// takes the first pair with that name that suits the client. For a name that no pair has, crypto/tls would take the first of
// all pairs, which a client that only knows RSA cannot use: it gets the same as one that names no server.
func certificateFor(pairs []tls.Certificate) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if len(pairs) < 2 {
		return nil
	}
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		nameless := *hello
		nameless.ServerName = ""
		for _, wanted := range []*tls.ClientHelloInfo{hello, &nameless} {
			for i := range pairs {
				if wanted.SupportsCertificate(&pairs[i]) == nil {
					return &pairs[i], nil
				}
			}
		}
		return &pairs[0], nil // as crypto/tls does: its error is the best that the client can get
	}
}

// ellipticFirst puts each pair with an elliptic key before those with an RSA key that it can stand in for, which are
// those whose names it has. crypto/tls takes the first pair that suits the client; to sign with RSA takes many times
// as long, and is left for clients that know nothing else. The order of the others stays, and with it the names of the
// default.
func ellipticFirst(pairs []tls.Certificate) []tls.Certificate {
	var sorted []tls.Certificate
	for _, pair := range pairs {
		at := slices.IndexFunc(sorted, func(other tls.Certificate) bool {
			return isRSA(other.Leaf) && !isRSA(pair.Leaf) && hasNames(pair.Leaf, other.Leaf)
		})
		if at < 0 {
			at = len(sorted)
		}
		sorted = slices.Insert(sorted, at, pair)
	}
	return sorted
}

func isRSA(cert *x509.Certificate) bool { return cert.PublicKeyAlgorithm == x509.RSA }

// hasNames reports whether cert is for all names that other is for.
func hasNames(cert, other *x509.Certificate) bool {
	for _, name := range other.DNSNames {
		if !slices.Contains(cert.DNSNames, name) {
			return false
		}
	}
	for _, ip := range other.IPAddresses {
		if !slices.ContainsFunc(cert.IPAddresses, func(own net.IP) bool { return own.Equal(ip) }) {
			return false
		}
	}
	return true
}
