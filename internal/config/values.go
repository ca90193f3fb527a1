// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// An interval is a duration of zero or more.
type interval time.Duration

// UnmarshalText parses a duration as Go writes it.
func (i *interval) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 {
		return errors.New("expected a duration of 0 or more such as 90s, 5m or 24h")
	}
	*i = interval(d)
	return nil
}

// A timeout is a duration above zero: a step without a deadline does not exist.
type timeout time.Duration

// UnmarshalText parses a duration as Go writes it.
func (t *timeout) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil || d <= 0 {
		return errors.New("expected a duration above 0 such as 500ms, 5s or 1m")
	}
	*t = timeout(d)
	return nil
}

// maxMilliseconds bounds the time that certificate-acl is waited for.
const maxMilliseconds = 3_600_000

// milliseconds is a duration that is written as a bare number of milliseconds.
type milliseconds time.Duration

// UnmarshalText parses a number of milliseconds.
func (m *milliseconds) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err == nil && n == 0 {
		return fmt.Errorf("expected milliseconds, from 1 to %d; 0 was no limit in the patched image, and vernegate always has one: leave the variable out for the default", maxMilliseconds)
	}
	if err != nil || n < 1 || n > maxMilliseconds {
		return fmt.Errorf("expected milliseconds, from 1 to %d", maxMilliseconds)
	}
	*m = milliseconds(time.Duration(n) * time.Millisecond)
	return nil
}

// lifetimeMilliseconds is a session's lifetime as dojot's disconnect plugin
// reads it; 0 is none.
type lifetimeMilliseconds time.Duration

// UnmarshalText parses a number of milliseconds.
func (m *lifetimeMilliseconds) UnmarshalText(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/int64(time.Millisecond) {
		return errors.New("expected milliseconds, 0 or more")
	}
	*m = lifetimeMilliseconds(time.Duration(n) * time.Millisecond)
	return nil
}

// maxReference bounds what every client is sent at the end.
const maxReference = 1024

// serverReference names other servers for MQTT 5.0 clients (5.0, 4.11).
type serverReference string

// UnmarshalText takes hosts, each with or without a port, separated by spaces. The specification only says what the
// references that it recommends look like, and clients understand no other.
func (r *serverReference) UnmarshalText(text []byte) error {
	if len(text) > maxReference {
		return fmt.Errorf("expected up to %d bytes", maxReference)
	}
	var wrong []string
	for server := range strings.SplitSeq(string(text), " ") {
		host, port, err := net.SplitHostPort(server)
		if err != nil {
			host, port = strings.TrimSuffix(strings.TrimPrefix(server, "["), "]"), "8883"
		}
		if _, err := netip.ParseAddr(host); err != nil && !hostSyntax.MatchString(host) || !isPort(port, 1) {
			wrong = append(wrong, strconv.Quote(server))
		}
	}
	switch {
	case len(wrong) == 1:
		return fmt.Errorf("%s is no server such as gate2.example.org:8883; several are separated by a space", wrong[0])
	case len(wrong) > 1:
		return fmt.Errorf("%s are no servers such as gate2.example.org:8883; several are separated by a space", strings.Join(wrong, ", "))
	}
	*r = serverReference(text)
	return nil
}

// maxEntries bounds the identity cache: an entry takes some 200 bytes.
const maxEntries = 100_000_000

// An entryCount is how many entries a cache holds.
type entryCount int

// UnmarshalText parses a whole number.
func (c *entryCount) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || n > maxEntries {
		return fmt.Errorf("expected a whole number from 1 to %d", maxEntries)
	}
	*c = entryCount(n)
	return nil
}

// maxAllowance is far beyond what one process can serve.
const maxAllowance = 1_000_000_000

// An allowance is how many there may be of something, 0 for any number.
type allowance int

// UnmarshalText parses a whole number.
func (a *allowance) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 0 || n > maxAllowance {
		return fmt.Errorf("expected a whole number up to %d, 0 for no limit", maxAllowance)
	}
	*a = allowance(n)
	return nil
}

// Handshakes are how many connections may be on their way through the handshake;
// 0 = no limit.
type Handshakes int

// AutoHandshakes leaves the number to [Handshakes.Number].
const AutoHandshakes Handshakes = -1

// UnmarshalText parses a whole number or "auto".
func (h *Handshakes) UnmarshalText(text []byte) error {
	if string(text) == "auto" {
		*h = AutoHandshakes
		return nil
	}
	if err := (*allowance)(h).UnmarshalText(text); err != nil {
		return fmt.Errorf("%w, or auto", err)
	}
	return nil
}

// handshakeMemory is what a connection takes at most on its way through the
// handshake, in bytes. A silent one takes 13 kB, one after its ClientHello 30 kB.
// A stranger that sends all that it may (maxReceived in package proxy), in the
// pieces that cost most, can make it 120 kB; the rest is for the kernel.
const handshakeMemory = 128 << 10

// Number returns how many that are in a process with a memory limit, in bytes and
// math.MaxInt64 when there is none, and these descriptors for connections.
// Automatic is a quarter of the memory, but at most half of the descriptors.
func (h Handshakes) Number(memory int64, descriptors int) int {
	if h != AutoHandshakes {
		return int(h)
	}
	return int(max(1, min(memory/4/handshakeMemory, int64(descriptors/2))))
}

// A LogFormat is how log lines look.
type LogFormat string

const (
	LogAuto LogFormat = "auto" // text on a terminal, else JSON
	LogJSON LogFormat = "json"
	LogText LogFormat = "text"
)

// UnmarshalText parses "auto", "json" or "text".
func (f *LogFormat) UnmarshalText(text []byte) error {
	*f = LogFormat(text)
	switch *f {
	case LogAuto, LogJSON, LogText:
		return nil
	}
	return errors.New("expected auto, json or text")
}

// A logLevel is the least severe level that is logged.
type logLevel slog.Level

// UnmarshalText parses a level's name in any case.
func (l *logLevel) UnmarshalText(text []byte) error {
	err := (*slog.Level)(l).UnmarshalText(text)
	if err != nil {
		return errors.New("expected debug, info, warn or error")
	}
	return nil
}

// A fileList is one or more paths. Whether the files exist is not its concern.
type fileList []string

// UnmarshalText parses paths separated by commas.
func (l *fileList) UnmarshalText(text []byte) error {
	paths, err := splitList(string(text))
	if err != nil {
		return fmt.Errorf("%w: expected files separated by commas", err)
	}
	*l = paths
	return nil
}

// A lookupURL is where certificate-acl answers; a fingerprint is appended to
// it as it stands.
type lookupURL string

// UnmarshalText parses an absolute http or https URL. Its errors do not quote
// the text, which may hold a password.
func (l *lookupURL) UnmarshalText(text []byte) error {
	u, err := url.Parse(string(text))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Fragment != "" {
		return errors.New("expected an http or https URL with a host, to which the fingerprint is appended")
	}
	*l = lookupURL(text)
	return nil
}

// errBlankElement is what splitList says of "a,,b".
var errBlankElement = errors.New("a list element is blank")

// splitList returns the elements of a comma-separated list without the white
// space around them.
func splitList(text string) ([]string, error) {
	elements := strings.Split(text, ",")
	for i, e := range elements {
		elements[i] = strings.TrimSpace(e)
		if elements[i] == "" {
			return nil, errBlankElement
		}
	}
	return elements, nil
}
