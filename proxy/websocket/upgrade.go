// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"

	"github.com/coder/websocket"
)

// maxRequest bounds a request line with its headers, in bytes. Browsers send cookies, of up to 4 KB each, to what has the
// name of a site that they know.
const maxRequest = 16 << 10

// bufferSize is the least that bufio takes. Heads of frames go through the buffers; payloads go past them.
const bufferSize = 16

// subprotocols are the names that clients know MQTT by: that of the standard [MQTT-6.0.0-3] [MQTT-6.0.0-4], and the one that
// was in use for MQTT 3.1 before it.
var subprotocols = []string{"mqtt", "mqttv3.1"}

// An Endpoint is what clients may ask for over HTTP. Its methods may be called concurrently.
type Endpoint struct {
	// Path is that of the URL, such as "/mqtt".
	Path string
	// Origins are the pages whose scripts may connect, beside those of the host that the client has connected to: patterns
	// for "host", "host:port" or "scheme://host:port", in which * stands for any text without a slash. Clients that are no
	// browsers send no origin, and none is asked of them.
	Origins []string
}

// Accept reads a request from source and answers it on sink; the Stream goes on with both. What it takes is bounded, but it
// waits for as long as they do. The error is a *RefusedError if the answer was no upgrade, or that of source or sink.
func (e *Endpoint) Accept(source io.Reader, sink io.Writer) (*Stream, error) {
	s := &Stream{source: source, sink: sink}
	answer := answer{stream: s, header: make(http.Header)}
	request, err := answer.read(source)
	if err == nil {
		err = e.upgrade(&answer, request)
	}
	var refused *RefusedError
	if err != nil && !errors.As(err, &refused) {
		return nil, err
	}
	if refused != nil {
		answer.refuse(refused.Status)
	}
	if _, writeErr := sink.Write(answer.bytes()); err == nil && writeErr != nil {
		s.Release()
		err = writeErr
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// upgrade makes the stream of answer one to carry MQTT. The error is a *RefusedError.
func (e *Endpoint) upgrade(a *answer, r *http.Request) error {
	switch {
	case r.Host == "": // RFC 9112 §3.2
		return &RefusedError{http.StatusBadRequest, errors.New("no Host header")}
	case r.URL.Path != e.Path:
		return &RefusedError{http.StatusNotFound, fmt.Errorf("path %q, expected %q", r.URL.Path, e.Path)}
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return &RefusedError{http.StatusBadRequest, errors.New("a request with a body")}
	}
	conn, err := websocket.Accept(a, r, &websocket.AcceptOptions{
		Subprotocols:    subprotocols,
		OriginPatterns:  e.Origins,
		CompressionMode: websocket.CompressionDisabled, // it would take some 40 KB of each session
	})
	if err != nil {
		return &RefusedError{a.status, err}
	}
	if !slices.Contains(subprotocols, conn.Subprotocol()) { // none, or one that is spelled like it
		_ = conn.CloseNow()
		return &RefusedError{http.StatusBadRequest, errors.New("no subprotocol mqtt or mqttv3.1 in Sec-WebSocket-Protocol")}
	}
	conn.SetReadLimit(maxMessage)
	a.stream.conn = conn
	return nil
}

// An answer is the answer to one request, as coder/websocket makes it. It is an http.ResponseWriter and an http.Hijacker.
type answer struct {
	stream *Stream
	status int
	header http.Header
	body   string
}

// read reads the request. What has come behind it belongs to the stream.
func (a *answer) read(source io.Reader) (*http.Request, error) {
	limited := &limitedReader{source: source, left: maxRequest}
	buffer := bufio.NewReaderSize(limited, readSize)
	request, err := http.ReadRequest(buffer)
	switch {
	case err == nil:
		rest, _ := buffer.Peek(buffer.Buffered())
		a.stream.keep(rest)
		return request, nil
	case errors.Is(limited.err, errTooLong):
		return nil, &RefusedError{http.StatusRequestHeaderFieldsTooLarge, errTooLong}
	case limited.err != nil:
		return nil, limited.err
	}
	return nil, &RefusedError{http.StatusBadRequest, err}
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter. What coder/websocket has to say repeats what the client has sent: it is for the log.
func (*answer) Write(p []byte) (int, error) { return len(p), nil }

// Hijack implements http.Hijacker.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	wire := &a.stream.wire
	return wire, bufio.NewReadWriter(bufio.NewReaderSize(wire, bufferSize), bufio.NewWriterSize(wire, bufferSize)), nil
}

// refuse makes the answer one without an upgrade, after which the connection ends.
func (a *answer) refuse(status int) {
	upgrade := a.header.Get("Upgrade")
	version := a.header.Get("Sec-WebSocket-Version")
	a.status, a.body = status, http.StatusText(status)+"\n"
	a.header = http.Header{
		"Connection":             {"close"},
		"Content-Length":         {strconv.Itoa(len(a.body))},
		"Content-Type":           {"text/plain; charset=utf-8"},
		"X-Content-Type-Options": {"nosniff"},
	}
	if status == http.StatusUpgradeRequired && upgrade != "" { // RFC 9110 §15.5.22
		a.header.Set("Connection", "Upgrade, close")
		a.header.Set("Upgrade", upgrade)
	}
	if status == http.StatusMethodNotAllowed { // RFC 9110 §15.5.6
		a.header.Set("Allow", http.MethodGet)
	}
	if version != "" { // RFC 6455 §4.4
		a.header.Set("Sec-WebSocket-Version", version)
	}
}

// bytes returns the answer as it is sent.
func (a *answer) bytes() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", a.status, http.StatusText(a.status))
	_ = a.header.Write(&b) // a buffer takes everything
	b.WriteString("\r\n" + a.body)
	return b.Bytes()
}

var errTooLong = fmt.Errorf("a request of more than %d bytes", maxRequest)

// A limitedReader reads up to left bytes, and keeps the error of its source.
type limitedReader struct {
	source io.Reader
	left   int
	err    error
}

// Read implements io.Reader.
func (r *limitedReader) Read(p []byte) (n int, err error) {
	switch {
	case r.err != nil:
	case r.left == 0:
		r.err = errTooLong
	default:
		n, r.err = r.source.Read(p[:min(len(p), r.left)])
		r.left -= n
	}
	return n, r.err
}
