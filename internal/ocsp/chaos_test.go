// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ocsp_test

import (
	"crypto/x509"
	"errors"
	"math/big"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"github.com/vernegate/vernegate/internal/ocsp"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// What the responders of TestChaos sign holds for so long.
const answersHold = 10 * time.Minute

// TestChaos has two responders work, fail and lie in turns for two hours, while devices come, stay, are revoked and come back.
// However that goes: no device is refused as revoked that is not; with deny, none is let in longer after its revocation than
// answers hold; newcomers wait for the timeout at most, and live sessions not at all; and when the responders work again, all
// is known.
func TestChaos(t *testing.T) {
	t.Parallel()
	for name, deny := range map[string]bool{"deny": true, "allow": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { runChaos(t, deny) })
		})
	}
}

// chaos is what a CA knows of its devices, and how its responders behave.
type chaos struct {
	mu        sync.Mutex
	revoked   map[string]time.Time // since when, by serial number
	behaviour map[string]behaviour // by host
	asked     map[string]int       // by the name of the behaviour
}

// A behaviour of a responder, which knows what was true at a time.
type behaviour struct {
	name    string
	respond func(c *chaos, r *http.Request) (*http.Response, error)
}

func runChaos(t *testing.T, deny bool) {
	c := &chaos{revoked: map[string]time.Time{}, behaviour: map[string]behaviour{}, asked: map[string]int{}}
	client := &ocsp.Client{Timeout: 2 * time.Second, Allows: func(*url.URL) bool { return true }, HTTP: &http.Client{Transport: transport(c.roundTrip)}}
	client.Observe = func(q ocsp.Question) {
		if ocsp.KindOf(q.Err) == ocsp.KindPanic {
			t.Error(q.Err)
		}
	}
	cache := &ocsp.Cache{Ask: client.Ask, Size: 10, Refresh: 5 * time.Minute} // there are more devices
	checker := &ocsp.Checker{Status: cache.Status, Deny: deny}

	const rounds = 8 // of a quarter of an hour, in which each behaviour has its time
	var running sync.WaitGroup
	devices := chaoticDevices()
	calm := make(chan struct{})
	for _, device := range devices {
		running.Go(func() { c.visit(t, checker, device, calm) })
	}
	for range rounds {
		c.revoke(devices[rand.IntN(len(devices))])
		for _, i := range rand.Perm(len(behaviours())) {
			c.set([]string{"a.test", "b.test"}[rand.IntN(2)], behaviours()[i])
			time.Sleep(rand.N(2 * time.Minute))
		}
	}
	c.set("a.test", behaviours()[0])
	c.set("b.test", behaviours()[0])
	time.Sleep(answersHold + time.Minute)
	close(calm)
	for _, device := range devices {
		_, err := checker.Check(t.Context(), device.chain, device.Fingerprint, false)
		if _, revoked := c.since(device); errors.Is(err, pki.ErrRevoked) != revoked || err != nil && !revoked {
			t.Errorf("in the end got %v of a device of which revoked is %t", err, revoked)
		}
	}
	running.Wait()
	cache.Close()
	if len(c.asked) != len(behaviours()) {
		t.Errorf("not all has happened: asked %v", c.asked)
	}
}

type chaoticDevice struct {
	ocsp.Certificate
	chain []*x509.Certificate
}

// chaoticDevices have certificates with two responders.
func chaoticDevices() (devices []chaoticDevice) {
	ca := testPKI().ca
	for range 15 {
		cert := about(ca.Issue("acme:lamp", certtest.OCSPServer("http://a.test", "http://b.test"), certtest.NotBefore(time.Now().Add(-time.Hour)), certtest.NotAfter(time.Now().Add(time.Hour))), ca)
		devices = append(devices, chaoticDevice{cert, []*x509.Certificate{cert.Leaf, cert.Issuer}})
	}
	return devices
}

// visit has a device come, live for a while and come back.
func (c *chaos) visit(t *testing.T, checker *ocsp.Checker, device chaoticDevice, calm <-chan struct{}) {
	for live := false; ; {
		select {
		case <-calm:
			return
		default:
		}
		began := time.Now()
		again, err := checker.Check(t.Context(), device.chain, device.Fingerprint, live)
		if took := time.Since(began); live && took > 0 || took > 2*time.Second || !again.After(time.Now()) {
			t.Errorf("live %t: took %v, to be asked again in %v", live, took, time.Until(again))
			return
		}
		since, revoked := c.since(device)
		switch {
		case errors.Is(err, pki.ErrRevoked) && !revoked:
			t.Errorf("refused as revoked: %v", err)
		case err == nil && checker.Deny && revoked && time.Since(since) > answersHold+15*time.Second:
			t.Errorf("let in %v after it was revoked", time.Since(since))
		}
		switch {
		case errors.Is(err, pki.ErrRevoked), err != nil && !live, rand.IntN(10) == 0:
			live = false
			time.Sleep(rand.N(10 * time.Minute))
		default:
			live = true
			time.Sleep(time.Until(again))
		}
	}
}

func (c *chaos) set(host string, b behaviour) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.behaviour[host] = b
}

func (c *chaos) revoke(device chaoticDevice) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if serial := device.Leaf.SerialNumber.String(); c.revoked[serial].IsZero() {
		c.revoked[serial] = time.Now()
	}
}

func (c *chaos) since(device chaoticDevice) (since time.Time, revoked bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	since, revoked = c.revoked[device.Leaf.SerialNumber.String()]
	return since, revoked
}

// answer is what was true of a certificate some time ago.
func (c *chaos) answer(serial *big.Int, age time.Duration) certtest.OCSPAnswer {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := time.Now().Add(-age)
	a := certtest.OCSPAnswer{Serial: serial, ThisUpdate: at, NextUpdate: at.Add(answersHold)}
	if since, revoked := c.revoked[serial.String()]; revoked && !since.After(at) {
		a.Status, a.RevokedAt = certtest.OCSPRevoked, since
	}
	return a
}

func (c *chaos) roundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	b := c.behaviour[r.URL.Host]
	if b.respond == nil {
		b = behaviours()[0]
	}
	c.asked[b.name]++
	c.mu.Unlock()
	return b.respond(c, r)
}

// behaviours are those that a responder may have; the first is that it works.
func behaviours() []behaviour {
	p := testPKI()
	other := certtest.CA{Cert: p.ca.Cert, Key: p.other.Key} // somebody who has not got the key
	says := func(name string, body func(c *chaos, serial *big.Int) []byte) behaviour {
		return behaviour{name, func(c *chaos, r *http.Request) (*http.Response, error) {
			recorder := httptest.NewRecorder()
			if r.Body == nil { // as a client may leave it, and no server does
				r.Body = http.NoBody
			}
			certtest.OCSPFunc(func(serial *big.Int) []byte { return body(c, serial) }).ServeHTTP(recorder, r)
			return recorder.Result(), nil
		}}
	}
	signed := func(ca *certtest.CA, opts certtest.OCSPOptions, change func(*certtest.OCSPAnswer)) func(*chaos, *big.Int) []byte {
		return func(c *chaos, serial *big.Int) []byte {
			a := c.answer(serial, 0)
			change(&a)
			return ca.OCSP(opts, a)
		}
	}
	lie := func(a *certtest.OCSPAnswer) { a.Status ^= certtest.OCSPRevoked } // good to revoked, and back
	return []behaviour{
		says("works", signed(p.ca, certtest.OCSPOptions{}, func(*certtest.OCSPAnswer) {})),
		says("delegated", signed(p.ca, certtest.OCSPOptions{Signer: p.responder}, func(*certtest.OCSPAnswer) {})),
		says("from a cache", func(c *chaos, serial *big.Int) []byte {
			return p.ca.OCSP(certtest.OCSPOptions{}, c.answer(serial, answersHold/2))
		}),
		says("of yesterday", signed(p.ca, certtest.OCSPOptions{}, func(a *certtest.OCSPAnswer) {
			a.Status, a.ThisUpdate, a.NextUpdate = certtest.OCSPGood, time.Now().Add(-24*time.Hour), time.Now().Add(-23*time.Hour)
		})),
		says("lies with another key", signed(&other, certtest.OCSPOptions{}, lie)),
		says("lies as a device", signed(p.ca, certtest.OCSPOptions{Signer: p.device}, lie)),
		says("about another certificate", signed(p.ca, certtest.OCSPOptions{}, func(a *certtest.OCSPAnswer) { lie(a); a.Serial = big.NewInt(7) })),
		says("about another CA", signed(p.ca, certtest.OCSPOptions{}, func(a *certtest.OCSPAnswer) { lie(a); a.Issuer = p.other.Cert })),
		says("cut", func(c *chaos, serial *big.Int) []byte {
			return p.ca.OCSP(certtest.OCSPOptions{}, c.answer(serial, 0))[:99]
		}),
		says("try later", func(*chaos, *big.Int) []byte { return xocsp.TryLaterErrorResponse }),
		says("unauthorized", func(*chaos, *big.Int) []byte { return xocsp.UnauthorizedErrorResponse }),
		says("huge", func(*chaos, *big.Int) []byte { return make([]byte, 1<<20) }),
		{"dead", func(_ *chaos, r *http.Request) (*http.Response, error) { return hang(r) }},
		{"refused", func(*chaos, *http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }},
		{"503", func(*chaos, *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: http.NoBody}, nil
		}},
	}
}
