// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// withSubject gives a certificate an organization and a common name.
func withSubject(organization, commonName string) certtest.Option {
	return certtest.Template(func(c *x509.Certificate) {
		c.Subject = pkix.Name{Organization: []string{organization}, CommonName: commonName}
	})
}

// withURI gives a certificate one more alternative name.
func withURI(text string) certtest.Option {
	return certtest.Template(func(c *x509.Certificate) {
		u, err := url.Parse(text)
		if err != nil {
			panic(err)
		}
		c.URIs = append(c.URIs, u)
	})
}

// checkOwner has a device connect with each version of MQTT; the broker must get owner, and
// the rest as it was sent.
func (s *fixture) checkOwner(t *testing.T, fake *stack.FakeBroker, dial stack.Dial, owner string) {
	t.Helper()
	for _, v := range versions {
		sent := connectPacket{version: v, clientID: unique(), username: "somebody-else"}
		want := sent
		want.username = owner
		checkConnect(t, fake, dial, sent, want)
	}
}

// checkRefused has a device connect with each version of MQTT; it must be told that it is not
// authorized, and the log why.
func (s *fixture) checkRefused(t *testing.T, dial stack.Dial, reason, why string) {
	t.Helper()
	for _, v := range versions {
		before := len(s.Output.All())
		if got, want := answerTo(within(t, stepTime), t, dial, v), codeOf(v, 5, 0x87); got != want {
			t.Errorf("%v: got 0x%02X, want 0x%02X", v, got, want)
		}
		eventually(t, stepTime, "the log says why", func() bool {
			for _, line := range s.Output.All()[before:] {
				if strings.Contains(line, `"reason":"`+reason+`"`) && strings.Contains(line, why) {
					return true
				}
			}
			return false
		})
	}
}

// TestOwnersByTemplate needs no certificate-acl at all.
func TestOwnersByTemplate(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := newFixture(t, fake.Addr, "VERNEGATE_IDENTITY", "subject", "VERNEGATE_IDENTITY_TEMPLATE", "{o}:{cn}")
	if err := s.acl.Down(); err != nil {
		t.Fatal(err)
	}
	issue := func(opts ...certtest.Option) *certtest.Cert { return s.pki.Root.Issue("device", opts...) }

	s.checkOwner(t, fake, s.through(issue(withSubject("acme", "lamp")), 0), "acme:lamp")
	reached := len(fake.Sessions())
	s.checkRefused(t, s.through(issue(), 0), "identity_unknown", "the certificate has 0 values of o")
	s.checkRefused(t, s.through(issue(withSubject("acme", "lamp/+")), 0), "identity_invalid", "the owner contains")
	s.checkRefused(t, s.through(issue(withSubject("acme:door", "lamp")), 0), "identity_unknown", "which ends it in the template")
	toServices := stack.Through(s.Services, s.clientTLS(issue(withSubject("acme", "lamp")), 0))
	s.checkRefused(t, toServices, "identity_not_allowed", "services")
	if n := len(fake.Sessions()); n != reached {
		t.Errorf("the broker heard of %d clients that were refused", n-reached)
	}
	if asked := s.acl.Asked(); len(asked) > 0 {
		t.Errorf("certificate-acl was asked %v", asked)
	}
	m := must(s.Metrics(within(t, stepTime)))(t)
	if owners, none := m.Sum("vernegate_identity_source_answers_total", `source="subject"`, `result="owner"`), m.Sum("vernegate_identity_source_answers_total", `source="subject"`, `result="none"`); owners < 9 || none != 6 {
		t.Errorf("%v owners and %v refusals are counted for the source, want at least 9 and 6", owners, none)
	}
}

func TestOwnersBySPIFFE(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := newFixture(t, fake.Addr, "VERNEGATE_IDENTITY", "subject", "VERNEGATE_IDENTITY_TEMPLATE", "{tenant}:{device}",
		"VERNEGATE_IDENTITY_PATTERN", `san.uri=spiffe://example\.org/(?<tenant>[a-z]+)/(?<device>[^/]+)`)
	id := "spiffe://example.org/acme/lamp"
	s.checkOwner(t, fake, s.through(s.pki.Root.Issue("x", withURI(id)), 0), "acme:lamp")
	s.checkRefused(t, s.through(s.pki.Root.Issue("x", withURI(id), withURI(id)), 0), "identity_unknown", "2 values of san.uri")
	s.checkRefused(t, s.through(s.pki.Root.Issue("x", withURI("spiffe://evil.org/acme/lamp")), 0), "identity_unknown", "does not match its pattern")
}

// TestServicesByPattern has owners with a colon be services, and others devices.
func TestServicesByPattern(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := newFixture(t, fake.Addr, "VERNEGATE_IDENTITY", "subject", "VERNEGATE_IDENTITY_TEMPLATE", "{cn}", "VERNEGATE_SERVICES", "svc:.*")
	toServices := func(name string) stack.Dial {
		return stack.Through(s.Services, s.clientTLS(s.pki.Root.Issue(name), 0))
	}
	s.checkOwner(t, fake, toServices("svc:hub"), "svc:hub")
	s.checkOwner(t, fake, s.through(s.pki.Root.Issue("svc:hub"), 0), "svc:hub")
	s.checkOwner(t, fake, s.through(s.pki.Root.Issue("lamp"), 0), "lamp")
	s.checkRefused(t, toServices("lamp"), "identity_not_allowed", "services")
}

// TestFirstSourceCounts asks certificate-acl about those alone whom the template does not know.
func TestFirstSourceCounts(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := newFixture(t, fake.Addr, "VERNEGATE_IDENTITY", "subject,certificate-acl", "VERNEGATE_IDENTITY_TEMPLATE", "{o}:{cn}")
	s.checkOwner(t, fake, s.through(s.device("acme:door", withSubject("acme", "lamp")), 0), "acme:lamp")
	if asked := s.acl.Asked(); len(asked) > 0 {
		t.Errorf("certificate-acl was asked %v", asked)
	}
	other := s.device("acme:door")
	s.checkOwner(t, fake, s.through(other, 0), "acme:door")
	s.checkRefused(t, s.through(s.pki.Root.Issue("nobody's"), 0), "identity_unknown", "; no owner by certificate-acl: it answers 404")
}

// TestSourceThatCannotTellEndsTheQuestion: what certificate-acl would have said must not be overruled by
// a source behind it.
func TestSourceThatCannotTellEndsTheQuestion(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := newFixture(t, fake.Addr, "VERNEGATE_IDENTITY", "certificate-acl,subject", "VERNEGATE_IDENTITY_TEMPLATE", "{o}:{cn}",
		"VERNEGATE_ACL_NEGATIVE_TTL", "0s")
	dial := s.through(s.pki.Root.Issue("x", withSubject("acme", "lamp")), 0)
	s.checkOwner(t, fake, dial, "acme:lamp") // which certificate-acl does not know
	reached := len(fake.Sessions())
	s.acl.Answer(stack.ServerError)
	for _, v := range versions {
		if got, want := answerTo(within(t, stepTime), t, dial, v), codeOf(v, 3, 0x88); got != want {
			t.Errorf("%v: got 0x%02X, want 0x%02X", v, got, want)
		}
	}
	if n := len(fake.Sessions()); n != reached {
		t.Errorf("%d clients reached the broker while certificate-acl could not tell", n-reached)
	}
}

// writeOwners writes a file of owners in place.
func writeOwners(t *testing.T, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestOwnersByFile needs no certificate-acl either. A line that is removed or changed ends the sessions of its certificate,
// and no others; a bad line ends none.
func TestOwnersByFile(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := prepareFixture(t)
	lamp, door := s.pki.Root.Issue("lamp"), s.pki.Root.Issue("door", withSubject("acme", "door"))
	bell, odd := s.pki.Root.Issue("bell"), s.pki.Root.Issue("odd")
	path := filepath.Join(t.TempDir(), "owners.map")
	lampLine, doorLine := stack.Fingerprint(lamp.Leaf)+" acme:lamp", "CN=door,O=acme acme:door"
	bellLine, oddLine := stack.Fingerprint(bell.Leaf)+" acme:bell", stack.Fingerprint(odd.Leaf)+" acme/#"
	writeOwners(t, path, lampLine, doorLine, bellLine, oddLine)
	s.startBefore(t, fake.Addr, "VERNEGATE_IDENTITY", "file", "VERNEGATE_IDENTITY_FILE", path)
	if err := s.acl.Down(); err != nil {
		t.Fatal(err)
	}
	s.checkOwner(t, fake, s.through(lamp, 0), "acme:lamp")
	s.checkOwner(t, fake, s.through(door, 0), "acme:door")
	s.checkRefused(t, s.through(odd, 0), "identity_invalid", "the owner contains")
	s.checkRefused(t, s.through(s.pki.Root.Issue("nobody's"), 0), "identity_unknown", `"err":"no owner by file: it has no line for the certificate"`)

	lives := map[string]*stack.Wire{"lamp": s.live(t, lamp), "door": s.live(t, door), "bell": s.live(t, bell)}
	writeOwners(t, path, "nonsense", bellLine)
	eventually(t, stepTime, "the file is refused", func() bool {
		return must(s.Metrics(within(t, stepTime)))(t).Sum("vernegate_identity_file_refused") == 1
	})
	if _, status, err := s.Ask(within(t, stepTime), "GET", "/status", ""); err != nil || !strings.Contains(status, `"refused": true`) || !strings.Contains(status, path+": line 1: ") {
		t.Errorf("the status does not say why the file is refused: %v, %s", err, status)
	}
	for _, w := range lives {
		ping(t, w)
	}
	writeOwners(t, path, lampLine, "CN=door,O=acme acme:gate", bellLine) // changed
	wantOwnerChanged(t, lives["door"])
	ping(t, lives["lamp"])
	ping(t, lives["bell"])
	writeOwners(t, path, bellLine) // removed
	wantOwnerChanged(t, lives["lamp"])
	ping(t, lives["bell"])
	s.checkRefused(t, s.through(lamp, 0), "identity_unknown", "")
}

// wantOwnerChanged expects that a session of MQTT 5.0 is ended, since its certificate is another's.
func wantOwnerChanged(t *testing.T, w *stack.Wire) {
	t.Helper()
	if got, err := w.ReadToEnd(); err != nil || !bytes.Equal(got, []byte{0xE0, 1, 0x87}) {
		t.Errorf("got % X and %v, want a DISCONNECT and an orderly end", got, err)
	}
}

// TestFileGoesBeforeCertificateACL overrules certificate-acl for one certificate.
func TestFileGoesBeforeCertificateACL(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := prepareFixture(t)
	lamp, door := s.device("acme:old"), s.device("acme:door")
	path := filepath.Join(t.TempDir(), "owners.map")
	writeOwners(t, path, stack.Fingerprint(lamp.Leaf)+" acme:lamp")
	s.startBefore(t, fake.Addr, "VERNEGATE_IDENTITY", "file,certificate-acl", "VERNEGATE_IDENTITY_FILE", path)
	s.checkOwner(t, fake, s.through(lamp, 0), "acme:lamp")
	s.checkOwner(t, fake, s.through(door, 0), "acme:door")
	if n := s.acl.Requests(stack.Fingerprint(lamp.Leaf)); n != 0 {
		t.Errorf("certificate-acl was asked %d times about what the file has", n)
	}
}

// TestCheckTellsWhatADeviceMeets runs vernegate check -cert as its operator would, with what the process at work has.
func TestCheckTellsWhatADeviceMeets(t *testing.T) {
	t.Parallel()
	fake := startFakeBroker(t)
	s := newFixture(t, fake.Addr)
	check := func(device *certtest.Cert) (code int, report string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "device.crt")
		if err := os.WriteFile(path, device.CertPEM(), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(within(t, stepTime), program, "check", "-cert", path)
		for variable, value := range s.env(fake.Addr) {
			cmd.Env = append(cmd.Env, variable+"="+value)
		}
		out, err := cmd.Output()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
	lamp := s.device("acme:lamp")
	if code, report := check(lamp); code != 0 || !strings.Contains(report, `owner "acme:lamp", a device`) || !strings.Contains(report, "lets it in") {
		t.Errorf("of a device that is welcome: exit code %d\n%s", code, report)
	}
	s.checkOwner(t, fake, s.through(lamp, 0), "acme:lamp")

	stranger := s.pki.Root.Issue("nobody's")
	if code, report := check(stranger); code != 2 || !strings.Contains(report, "refuses it with identity_unknown") {
		t.Errorf("of a device that nobody owns: exit code %d\n%s", code, report)
	}
	s.checkRefused(t, s.through(stranger, 0), "identity_unknown", "no owner by ")
}
