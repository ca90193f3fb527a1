// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vernegate/vernegate/internal/dial"
)

const (
	// probeInterval is the pause between two probes of a broker that is well. Sessions tell sooner; it is for
	// those nobody goes to.
	probeInterval = 10 * time.Second
	// probeAgain is the pause after a probe that failed.
	probeAgain = time.Second
	// probeTimeout is how long a probe may take, as long as a session may wait for a broker by default.
	probeTimeout = 5 * time.Second
	// maxHealth bounds what is read of a health URL's answer, whose status is all that counts, in bytes.
	maxHealth = 64 << 10
)

// A Probe asks the broker at addr, an IP address and a port or a Unix socket as in package dial, whether it is well; nil
// says that it is. It returns soon after ctx is done.
type Probe func(ctx context.Context, addr string) error

// DialProbe returns a probe that connects, says hello, which may be nothing, and hangs up: a CONNECT would leave its
// trace in the broker's log, hooks and metrics. A broker that expects a PROXY header wants one as its hello. Brokers that
// speak TLS are probed with it, behind the hello: tlsOf returns what it is to be like with the broker at an address; nil =
// brokers are spoken to in plain TCP.
func DialProbe(hello []byte, tlsOf func(addr string) *tls.Config) Probe {
	dialer := dial.New(net.KeepAliveConfig{})
	return func(ctx context.Context, addr string) error {
		conn, err := dialer.Dial(ctx, addr)
		if err != nil {
			return err
		}
		if len(hello) > 0 {
			_, err = conn.Write(hello) // fits into any socket's buffer
		}
		if err == nil && tlsOf != nil {
			err = probeTLS(ctx, conn, tlsOf(addr), len(hello) > 0)
		}
		return errors.Join(err, conn.Close())
	}
}

// alertTime is how long a probe waits, once its own side is through the handshake, for a broker to refuse the certificate
// of this side. With TLS 1.3 that comes later than the end of the handshake, and acceptance is silent. What comes later
// still is found out by a session.
const alertTime = 200 * time.Millisecond

// probeTLS shakes hands on conn, which is the caller's to close. header reports whether a PROXY header went in front.
func probeTLS(ctx context.Context, conn net.Conn, cfg *tls.Config, header bool) error {
	began := time.Now()
	over := tls.Client(conn, cfg)
	if err := over.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", dial.ExplainHandshake(over, err, header))
	}
	if over.ConnectionState().Version >= tls.VersionTLS13 {
		_ = conn.SetReadDeadline(time.Now().Add(max(alertTime, 2*time.Since(began))))
		if _, err := over.Read(make([]byte, 1)); isAlert(err) {
			return fmt.Errorf("TLS handshake: %w", err)
		}
	}
	_ = over.CloseWrite() // without that a broker takes the end for a loss
	return nil
}

// isAlert reports whether an error is a TLS alert of the peer.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// hostPattern stands for a broker's address in a health URL.
const hostPattern = "{host}"

// A HealthURL is where it can be asked whether a broker is well: an http or https URL in which "{host}" stands for the
// broker's IP address, which is 127.0.0.1 for one at a Unix socket.
type HealthURL string

// UnmarshalText accepts an absolute URL with {host} in it. Its errors do not quote the text, which may hold a
// password.
func (h *HealthURL) UnmarshalText(text []byte) error {
	u, err := url.Parse(HealthURL(text).at("192.0.2.1:1883"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || !bytes.Contains(text, []byte(hostPattern)) {
		return errors.New("expected an http or https URL with {host} for the broker's address, such as http://{host}:8888/health/listeners")
	}
	*h = HealthURL(text)
	return nil
}

// at is the URL for the broker at addr.
func (h HealthURL) at(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	if dial.IsUnix(addr) {
		host = "127.0.0.1"
	}
	if strings.Contains(host, ":") { // IPv6; the zone's percent sign is escaped in a URL (RFC 6874)
		host = "[" + strings.ReplaceAll(host, "%", "%25") + "]"
	}
	return strings.ReplaceAll(string(h), hostPattern, host)
}

// Probe returns a probe that is content when dial is and the URL then answers with 200. Redirects are not followed, and
// no proxy is used.
//
// tlsOf returns what TLS with the broker at an address is to be like; https with the broker's host is spoken likewise. With
// another host, and where tlsOf is nil, https is verified against the roots of the system and the host of the URL.
func (h HealthURL) Probe(dial Probe, tlsOf func(addr string) *tls.Config) Probe {
	return func(ctx context.Context, addr string) error {
		if err := dial(ctx, addr); err != nil {
			return err
		}
		transport := &http.Transport{
			DisableKeepAlives:      true, // the pause is longer than most servers keep a connection
			MaxResponseHeaderBytes: maxHealth,
		}
		if tlsOf != nil && h.asksBroker() {
			transport.TLSClientConfig = tlsOf(addr).Clone()
			transport.TLSClientConfig.ClientSessionCache = nil // the tickets in it are those of the broker's other listener
		}
		return get(ctx, transport, h.at(addr))
	}
}

// asksBroker reports whether it is the broker's host that is asked, and not another one about it.
func (h HealthURL) asksBroker() bool {
	u, err := url.Parse(h.at("192.0.2.1:1883"))
	return err == nil && u.Hostname() == "192.0.2.1"
}

// get wants 200 of a URL.
func get(ctx context.Context, transport *http.Transport, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "vernegate")
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.CopyN(io.Discard, resp.Body, maxHealth); err != nil && err != io.EOF {
		return fmt.Errorf("reading the answer of %s: %w", req.URL.Redacted(), err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("asking %s: status %d", req.URL.Redacted(), resp.StatusCode)
	}
	return nil
}

// probe probes m once. One that was ejected for what happened to clients has to serve clients before it returns, us or others:
// it can be dialed as long as its kernel runs.
func (p *Pool) probe(ctx context.Context, m *member) {
	p.mu.Lock()
	epoch, why := m.epoch, m.reason
	asClient := p.hasToServeUs(m, time.Now())
	p.mu.Unlock()

	asking, cancel := context.WithTimeout(ctx, probeTimeout)
	err := p.cfg.Probe(asking, m.addr)
	cancel()
	if err == nil && asClient {
		err = p.askToServe(ctx, m, why)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	m.probing = false
	if ctx.Err() == nil && m.epoch == epoch && !m.gone && !isLocalError(err) {
		p.probed(m, err)
	}
	p.wakeRun()
}
