// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package dial_test

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/internal/dial"
)

// TestHandshakeErrorsNameWhatTheSidesDisagreeAbout has a broker answer what it takes for no ClientHello.
func TestHandshakeErrorsNameWhatTheSidesDisagreeAbout(t *testing.T) {
	t.Parallel()
	const (
		tlsOff, wantsHeader, noHeader = "it may not speak TLS", "it may expect a PROXY header", "it may not expect the PROXY header"

		random      = "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
		alert       = "\x15\x03\x03\x00\x02\x02\x0a"                                               // unexpected_message
		serverHello = "\x16\x03\x03\x00\x2c\x02\x00\x00\x28\x03\x03" + random + "\x00\xc0\x2f\x00" // of TLS 1.2
	)
	for name, test := range map[string]struct {
		answer string // before the broker closes
		header bool
		want   []string
	}{
		"hung up":                         {"", false, []string{"it hung up", tlsOff, wantsHeader}},
		"hung up on a header":             {"", true, []string{"it hung up", tlsOff, noHeader}},
		"an answer in MQTT":               {"\x20\x02\x00\x01\x00", false, []string{"its answer is not TLS", tlsOff, wantsHeader}},
		"an answer in MQTT to a header":   {"\x20\x02\x00\x01\x00", true, []string{"its answer is not TLS", tlsOff, noHeader}},
		"an alert":                        {alert, false, nil},
		"an alert to a header":            {alert, true, []string{"it refused the first bytes", tlsOff, noHeader}},
		"an alert behind the ServerHello": {serverHello + alert, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, broker := net.Pipe()
			go func() {
				_, _ = broker.Read(make([]byte, 16<<10))
				_, _ = io.WriteString(broker, test.answer)
				_ = broker.Close()
			}()
			conn := tls.Client(ours, &tls.Config{ServerName: "broker", MaxVersion: tls.VersionTLS12})
			failed := conn.Handshake()
			got := dial.ExplainHandshake(conn, failed, test.header)
			if test.want == nil && got != failed {
				t.Errorf("got %v, want %v as it is", got, failed)
			}
			for _, want := range append(test.want, failed.Error()) {
				if !strings.Contains(got.Error(), want) {
					t.Errorf("got %v, want it to say %q", got, want)
				}
			}
		})
	}
}
