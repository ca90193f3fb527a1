// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package dial

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// ExplainHandshake returns the error of a TLS handshake with a broker together with what is most likely the matter, where the
// two sides seem to disagree about TLS or the PROXY protocol, which neither can find out by asking. header reports whether a
// PROXY header went in front of the handshake.
func ExplainHandshake(conn *tls.Conn, err error, header bool) error {
	var did string
	var op *net.OpError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		did = "it hung up"
	case errors.As(err, new(tls.RecordHeaderError)):
		did = "its answer is not TLS"
	case header && errors.As(err, &op) && op.Op == "remote error" && conn.ConnectionState().Version == 0: // before its ServerHello
		did = "it refused the first bytes"
	default:
		return err
	}
	if header {
		return fmt.Errorf("%s; it may not expect the PROXY header of VERNEGATE_BACKEND_PROXY_PROTOCOL, or it may not speak TLS at this port, see VERNEGATE_BACKEND_TLS (%w)", did, err)
	}
	return fmt.Errorf("%s; it may not speak TLS at this port, see VERNEGATE_BACKEND_TLS, or it may expect a PROXY header, see VERNEGATE_BACKEND_PROXY_PROTOCOL (%w)", did, err)
}
