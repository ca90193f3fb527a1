// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/vernegate/vernegate/proxy/relay"
	"github.com/vernegate/vernegate/proxy/websocket"
)

// overHTTP is the protocol that clients for WebSocket name by ALPN. WebSocket over HTTP/2 (RFC 8441) is not spoken.
const overHTTP = "http/1.1"

// protocolNames are the protocols that a listener knows by ALPN. The first one that the client names, too, is taken. A client that
// names none is welcome; one that names only others is refused by crypto/tls with the alert no_application_protocol, as RFC
// 7301 §3.2 demands. Where there are none, what clients name is ignored, as it was before there was a choice.
//
// "mqtt" is registered with IANA; "x-amzn-mqtt-ca" is what AWS IoT wants on port 443, and its devices know nothing else.
var protocolNames = [endOfProtocols][]string{
	WebSocket: {overHTTP},
	ByALPN:    {"mqtt", "x-amzn-mqtt-ca", overHTTP},
}

// byWebSocket reports whether the client speaks WebSocket, once the handshake is over.
func (s *session) byWebSocket() bool {
	return s.protocol == WebSocket || s.protocol == ByALPN && s.tls.ConnectionState().NegotiatedProtocol == overHTTP
}

// upgrade is what comes between the steps 4 and 5 for a client that speaks WebSocket: its HTTP request. The error is an
// *endError.
func (s *session) upgrade() (err error) {
	if !s.byWebSocket() {
		return nil
	}
	s.setDeadlines(time.Now().Add(s.server.cfg.ConnectTimeout))
	s.ws, err = s.server.cfg.WebSocket.Accept(s.reader(), recordWriter{s})
	var refused *websocket.RefusedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return because(WSUpgrade, err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return because(ConnectTimeout, s.tooLate("HTTP request"))
	}
	return because(ClientClosed, err)
}

// A recordWriter writes to a client in TLS records of the size that is configured.
type recordWriter struct{ session *session }

// Write implements io.Writer.
func (w recordWriter) Write(p []byte) (int, error) {
	if err := relay.WriteRecords(w.session.tls, p, w.session.server.cfg.MaxRecord); err != nil {
		return 0, err
	}
	return len(p), nil
}

// reader is what the CONNECT is read from, and before that the HTTP request of a client that speaks WebSocket.
func (s *session) reader() io.Reader {
	if s.ws != nil {
		return s.ws
	}
	return &turnReader{Reader: s.tls}
}

// write writes MQTT to the client.
func (s *session) write(b []byte) (err error) {
	if s.ws != nil {
		_, err = s.ws.Write(b)
		return err
	}
	_, err = recordWriter{s}.Write(b)
	return err
}

// clientEnded classifies what ended the reading from a client, or the writing to it.
func clientEnded(err error) Reason {
	if frame := (*websocket.FrameError)(nil); errors.As(err, &frame) {
		return WSFrame
	}
	return ClientClosed
}

// endedByFrame reports whether nothing is to be written to a client any more because of a frame of its. It takes a close frame
// of ours, if there was none, and the end of TLS all the same.
func endedByFrame(err error) bool {
	var closed *websocket.ClosedError
	return errors.As(err, &closed) || clientEnded(err) == WSFrame
}

// clientOver is the end of a session by its client, or by a frame of its that must not be.
func (s *session) clientOver(err error) {
	reason := clientEnded(err)
	if reason == WSFrame {
		s.stop(reason, err)
		return
	}
	s.over(reason, err)
}

// closeWebSocket sends the close frame that fits the end of the session.
func (s *session) closeWebSocket() {
	if s.ws != nil {
		_ = s.client.SetWriteDeadline(time.Now().Add(silenceTimeout))
		s.ws.Close(s.reason.CloseCode())
	}
}

// releaseWebSocket frees what the stream holds.
func (s *session) releaseWebSocket() {
	if s.ws != nil {
		s.ws.Release()
	}
}
