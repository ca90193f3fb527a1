// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package websocket_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/vernegate/vernegate/proxy/websocket"
)

var endpoint = websocket.Endpoint{Path: "/mqtt", Origins: []string{"dash.example.org", "https://*.example.com"}}

// headers are those of a good request; a change with an empty value takes one away.
func request(line string, changes ...string) string {
	headers := []string{
		"Host", "gate.example.org:8884",
		"Connection", "Upgrade",
		"Upgrade", "websocket",
		"Sec-WebSocket-Version", "13",
		"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==",
		"Sec-WebSocket-Protocol", "mqtt",
	}
	for i := 0; i < len(changes); i += 2 {
		found := false
		for j := 0; j < len(headers); j += 2 {
			if headers[j] == changes[i] {
				headers[j+1], found = changes[i+1], true
			}
		}
		if !found {
			headers = append(headers, changes[i], changes[i+1])
		}
	}
	var b strings.Builder
	b.WriteString(line + "\r\n")
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] != "" {
			fmt.Fprintf(&b, "%s: %s\r\n", headers[i], headers[i+1])
		}
	}
	return b.String() + "\r\n"
}

const get = "GET /mqtt HTTP/1.1"

// answerTo has the endpoint answer a request.
func answerTo(t *testing.T, request string) (*http.Response, error) {
	t.Helper()
	var out bytes.Buffer
	s, err := endpoint.Accept(strings.NewReader(request), &out)
	if err == nil {
		t.Cleanup(s.Release)
	}
	answer, parseErr := http.ReadResponse(bufio.NewReader(&out), nil)
	if parseErr != nil {
		t.Fatalf("the answer is no HTTP: %v", parseErr)
	}
	return answer, err
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ request, subprotocol string }{
		"plain":            {request(get), "mqtt"},
		"3.1":              {request(get, "Sec-WebSocket-Protocol", "mqttv3.1"), "mqttv3.1"},
		"among others":     {request(get, "Sec-WebSocket-Protocol", "amqp, mqttv3.1, mqtt"), "mqtt"},
		"a query":          {request("GET /mqtt?x=1 HTTP/1.1"), "mqtt"},
		"keep-alive":       {request(get, "Connection", "keep-alive, Upgrade"), "mqtt"},
		"compression":      {request(get, "Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"), "mqtt"},
		"own origin":       {request(get, "Origin", "https://gate.example.org:8884"), "mqtt"},
		"listed origin":    {request(get, "Origin", "https://dash.example.org"), "mqtt"},
		"origin by scheme": {request(get, "Origin", "https://a.example.com"), "mqtt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, err := answerTo(t, test.request)
			if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("got %v and %v, want an upgrade", answer.Status, err)
			}
			for header, want := range map[string]string{
				"Upgrade": "websocket", "Connection": "Upgrade",
				"Sec-WebSocket-Accept":     "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", // RFC 6455 §1.3
				"Sec-WebSocket-Protocol":   test.subprotocol,
				"Sec-WebSocket-Extensions": "",
			} {
				if got := answer.Header.Get(header); got != want {
					t.Errorf("got %s: %q, want %q", header, got, want)
				}
			}
		})
	}
}

func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		request string
		status  int
	}{
		"no HTTP":              {"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02c1\r\n\r\n", http.StatusBadRequest},
		"HTTP/1.0":             {request("GET /mqtt HTTP/1.0"), http.StatusUpgradeRequired},
		"HTTP/2":               {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", http.StatusBadRequest},
		"no host":              {request(get, "Host", ""), http.StatusBadRequest},
		"no host, null origin": {request(get, "Host", "", "Origin", "null"), http.StatusBadRequest},
		"another path":         {request("GET /metrics HTTP/1.1"), http.StatusNotFound},
		"a path above":         {request("GET / HTTP/1.1"), http.StatusNotFound},
		"no upgrade":           {request(get, "Upgrade", "", "Connection", "close"), http.StatusUpgradeRequired},
		"another upgrade":      {request(get, "Upgrade", "h2c"), http.StatusUpgradeRequired},
		"POST":                 {request("POST /mqtt HTTP/1.1"), http.StatusMethodNotAllowed},
		"a body":               {request(get, "Content-Length", "3") + "abc", http.StatusBadRequest},
		"a chunked body":       {request(get, "Transfer-Encoding", "chunked") + "0\r\n\r\n", http.StatusBadRequest},
		"version 8":            {request(get, "Sec-WebSocket-Version", "8"), http.StatusBadRequest},
		"no key":               {request(get, "Sec-WebSocket-Key", ""), http.StatusBadRequest},
		"a short key":          {request(get, "Sec-WebSocket-Key", "abcd"), http.StatusBadRequest},
		"no subprotocol":       {request(get, "Sec-WebSocket-Protocol", ""), http.StatusBadRequest},
		"one in capitals":      {request(get, "Sec-WebSocket-Protocol", "MQTT"), http.StatusBadRequest},
		"another subprotocol":  {request(get, "Sec-WebSocket-Protocol", "amqp"), http.StatusBadRequest},
		"foreign origin":       {request(get, "Origin", "https://evil.example"), http.StatusForbidden},
		"origin by http":       {request(get, "Origin", "http://a.example.com"), http.StatusForbidden},
		"null origin":          {request(get, "Origin", "null"), http.StatusForbidden},
		"long headers":         {request(get, "Cookie", strings.Repeat("x", 17<<10)), http.StatusRequestHeaderFieldsTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, err := answerTo(t, test.request)
			var refused *websocket.RefusedError
			if !errors.As(err, &refused) || refused.Status != test.status || answer.StatusCode != test.status {
				t.Fatalf("got %v and %v, want %d", answer.Status, err, test.status)
			}
			if body, _ := io.ReadAll(answer.Body); string(body) != http.StatusText(test.status)+"\n" {
				t.Errorf("got body %q", body)
			}
			if !answer.Close {
				t.Error("the answer does not say that the connection ends")
			}
			switch upgrade := answer.Header.Get("Upgrade"); {
			case test.status == http.StatusUpgradeRequired && !strings.HasPrefix(name, "HTTP/") && upgrade != "websocket":
				t.Errorf("got Upgrade: %q, want websocket", upgrade)
			case name == "version 8" && answer.Header.Get("Sec-WebSocket-Version") != "13":
				t.Error("the answer does not name the version")
			case name == "POST" && answer.Header.Get("Allow") != "GET":
				t.Error("the answer does not name the method")
			}
		})
	}
}

// A client that leaves, or is too slow, before its request is complete is not answered.
func TestUnfinishedRequests(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]struct {
		io.Reader
		want error
	}{
		"nothing": {strings.NewReader(""), io.EOF},
		"a part":  {strings.NewReader("GET /mqtt HTTP/1.1\r\nHost: x"), io.EOF},
		"slow":    {io.MultiReader(strings.NewReader("GET /mqtt"), iotest.ErrReader(iotest.ErrTimeout)), iotest.ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if _, err := endpoint.Accept(source, &out); err != source.want || out.Len() > 0 {
				t.Errorf("got %v and %q, want %v and nothing", err, out.Bytes(), source.want)
			}
		})
	}
}

// FuzzUpgrade answers whatever comes with HTTP, takes a bounded part of it, and makes a stream only of a request that
// carries MQTT.
func FuzzUpgrade(f *testing.F) {
	f.Add([]byte(request(get)))
	f.Add([]byte(request(get, "Origin", "null", "Sec-WebSocket-Protocol", "amqp")))
	f.Add([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	f.Add([]byte("GET /mqtt HTTP/1.1\r\nHost: a\r\n b\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var out bytes.Buffer
		source := bytes.NewReader(b)
		s, err := endpoint.Accept(source, &out)
		if taken := len(b) - source.Len(); taken > 16<<10 {
			t.Errorf("took %d bytes", taken)
		}
		if err == io.EOF && out.Len() == 0 {
			return
		}
		answer, parseErr := http.ReadResponse(bufio.NewReader(&out), nil)
		if parseErr != nil {
			t.Fatalf("the answer is no HTTP: %v", parseErr)
		}
		if (err == nil) != (answer.StatusCode == http.StatusSwitchingProtocols) {
			t.Errorf("got %v and %v", answer.Status, err)
		}
		if err == nil {
			defer s.Release()
			if got := answer.Header.Get("Sec-WebSocket-Protocol"); got != "mqtt" && got != "mqttv3.1" {
				t.Errorf("got subprotocol %q", got)
			}
		}
	})
}
