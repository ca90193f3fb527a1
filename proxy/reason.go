// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/vernegate/vernegate/packets"
)

// A Reason says why a connection ended. Every connection ends with exactly one. Its String is the slug that
// operators meet as the log attribute and as the metric label; the table below is the only place that knows
// what a client is told and how loud the log line is.
type Reason uint8

// The reasons, in the order in which a connection can meet them.
const (
	ProxyHeader Reason = iota + 1
	RateLimited
	TLSHandshake
	TLSTimeout
	TLSNoCert
	TLSBadCertificate
	TLSUntrusted
	TLSExpired
	TLSRevoked
	TLSCRL
	WSUpgrade
	WSFrame
	ConnectTimeout
	ConnectMalformed
	ConnectVersion
	ConnectTooLarge
	ClientIDNotAllowed
	CertStatusUnknown
	IdentityUnknown
	IdentityInvalid
	IdentityNotAllowed
	IdentityUnavailable
	LimitOwner
	LimitConnections
	BackendUnavailable
	BackendSilent
	ClientClosed
	BackendClosed
	ConnectAgain
	PacketMalformed
	CertRevoked
	CertExpired
	OwnerChanged
	MaxLifetime
	AdminKick
	Shutdown

	endOfReasons
)

// reasons is the table of endings. v3 and v5 are the codes of the CONNACK that refuses a client of that version;
// bye is the code of the DISCONNECT that ends a session of MQTT 5.0, and there is nothing like it before. A zero
// means that nothing is sent and the connection is only closed.
var reasons = [endOfReasons]struct {
	slug    string
	level   slog.Level
	v3      packets.ReturnCode
	v5      packets.ReasonCode
	bye     packets.ReasonCode
	meaning string
}{
	ProxyHeader: {"proxy_header", slog.LevelWarn, 0, 0, 0, "no good PROXY header from an address of `VERNEGATE_PROXY_PROTOCOL_FROM`, or a PROXY header from another address"},
	RateLimited: {"rate_limited", slog.LevelInfo, 0, 0, 0, "more connections from one address than `VERNEGATE_MAX_CONNECTIONS_PER_IP`, no place for the handshake within `VERNEGATE_HANDSHAKE_TIMEOUT`, or silent while others needed its place (`VERNEGATE_MAX_HANDSHAKES`)"},

	TLSHandshake:      {"tls_handshake", slog.LevelInfo, 0, 0, 0, "the TLS handshake failed: not TLS, no common version or cipher, the client refuses the server certificate (`err` says so), or it sent more than 32 KiB in the handshake"},
	TLSTimeout:        {"tls_timeout", slog.LevelInfo, 0, 0, 0, "the TLS handshake took longer than `VERNEGATE_HANDSHAKE_TIMEOUT`"},
	TLSNoCert:         {"tls_no_cert", slog.LevelInfo, 0, 0, 0, "the client sent no certificate; some send none when theirs is from a CA that is not in the bundle"},
	TLSBadCertificate: {"tls_bad_certificate", slog.LevelInfo, 0, 0, 0, "a certificate that the client sent is not encoded as RFC 5280 says, so that crypto/x509 cannot read it; the log line has no fingerprint then"},
	TLSUntrusted:      {"tls_untrusted", slog.LevelInfo, 0, 0, 0, "no chain leads from the client certificate to a CA of the bundle"},
	TLSExpired:        {"tls_expired", slog.LevelInfo, 0, 0, 0, "a certificate of the chain is expired or not valid yet"},
	TLSRevoked:        {"tls_revoked", slog.LevelInfo, packets.ReturnNotAuthorized, packets.ReasonNotAuthorized, 0, "a CRL lists a certificate of the chain (then the handshake fails, without a CONNACK), or an OCSP responder says that the client certificate is revoked"},
	TLSCRL:            {"tls_crl", slog.LevelWarn, 0, 0, 0, "a CRL is missing or too old, and the policy denies that"},

	WSUpgrade: {"ws_upgrade", slog.LevelInfo, 0, 0, 0, "an HTTP request that does not ask for MQTT over WebSocket, or that a page of another origin than `VERNEGATE_WS_ORIGINS` has sent; the client gets a 4xx status"},
	WSFrame:   {"ws_frame", slog.LevelInfo, 0, 0, 0, "a frame that breaks RFC 6455, or that is text"},

	ConnectTimeout:     {"connect_timeout", slog.LevelInfo, 0, 0, 0, "no whole CONNECT, or no whole HTTP request before it, within `VERNEGATE_CONNECT_TIMEOUT`"},
	ConnectMalformed:   {"connect_malformed", slog.LevelInfo, 0, packets.ReasonMalformedPacket, 0, "the CONNECT breaks the specification, or the bytes are not MQTT (then close only)"},
	ConnectVersion:     {"connect_version", slog.LevelInfo, packets.ReturnUnacceptableProtocolVersion, packets.ReasonUnsupportedProtocolVersion, 0, "MQTT, but a protocol level other than 3.1, 3.1.1 and 5.0"},
	ConnectTooLarge:    {"connect_too_large", slog.LevelInfo, 0, packets.ReasonPacketTooLarge, 0, "the CONNECT is larger than `VERNEGATE_MAX_CONNECT_SIZE`"},
	ClientIDNotAllowed: {"client_id_not_allowed", slog.LevelInfo, packets.ReturnIdentifierRejected, packets.ReasonClientIdentifierNotValid, 0, "a client id that `VERNEGATE_CLIENT_ID` does not allow the owner, or an empty one where the protocol version demands one"},

	CertStatusUnknown:   {"cert_status_unknown", slog.LevelWarn, packets.ReturnServerUnavailable, packets.ReasonServerUnavailable, 0, "an OCSP responder does not know the client certificate, or could not be asked and `VERNEGATE_OCSP_ON_ERROR` says deny"},
	IdentityUnknown:     {"identity_unknown", slog.LevelInfo, packets.ReturnNotAuthorized, packets.ReasonNotAuthorized, 0, "no source of `VERNEGATE_IDENTITY` knows an owner of the certificate: certificate-acl answers 404, the file has no line for it, or the certificate does not fit the template; `err` says which"},
	IdentityInvalid:     {"identity_invalid", slog.LevelWarn, packets.ReturnNotAuthorized, packets.ReasonNotAuthorized, 0, "the owner cannot be a username: empty, too long, not UTF-8, or with `+`, `#`, `/` or control characters"},
	IdentityNotAllowed:  {"identity_not_allowed", slog.LevelInfo, packets.ReturnNotAuthorized, packets.ReasonNotAuthorized, 0, "a device, by `VERNEGATE_SERVICES`, on the service listener"},
	IdentityUnavailable: {"identity_unavailable", slog.LevelWarn, packets.ReturnServerUnavailable, packets.ReasonServerUnavailable, 0, "certificate-acl could not tell: timeout, 5xx, or an answer that is none"},

	LimitOwner:       {"limit_owner", slog.LevelInfo, packets.ReturnServerUnavailable, packets.ReasonQuotaExceeded, 0, "the owner has `VERNEGATE_MAX_CONNECTIONS_PER_OWNER` already"},
	LimitConnections: {"limit_connections", slog.LevelWarn, packets.ReturnServerUnavailable, packets.ReasonQuotaExceeded, 0, "there are `VERNEGATE_MAX_CONNECTIONS` already, or no file descriptor is left for the connection to a broker; `err` says which"},

	BackendUnavailable: {"backend_unavailable", slog.LevelWarn, packets.ReturnServerUnavailable, packets.ReasonServerUnavailable, 0, "no backend could be reached, or each ended the connection without a CONNACK or said that it is unavailable (then the client gets the last one's own words)"},
	BackendSilent:      {"backend_silent", slog.LevelWarn, packets.ReturnServerUnavailable, packets.ReasonServerUnavailable, 0, "no CONNACK within `VERNEGATE_CONNACK_TIMEOUT` (a full VerneMQ is silent)"},

	ClientClosed:  {"client_closed", slog.LevelInfo, 0, 0, 0, "the client ended the connection, or the broker did after the client's DISCONNECT"},
	BackendClosed: {"backend_closed", slog.LevelInfo, 0, 0, 0, "the broker ended the connection; `connack` says whether it had refused the CONNECT"},

	ConnectAgain:    {"connect_again", slog.LevelInfo, 0, 0, packets.ReasonProtocolError, "a second CONNECT in a session, which would carry another username past the check"},
	PacketMalformed: {"packet_malformed", slog.LevelInfo, 0, 0, packets.ReasonMalformedPacket, "a packet of the client whose remaining length takes more than four bytes"},
	CertRevoked:     {"cert_revoked", slog.LevelWarn, 0, 0, packets.ReasonNotAuthorized, "a certificate of the chain was revoked, or its CA removed, while the session lived"},
	CertExpired:     {"cert_expired", slog.LevelInfo, 0, 0, packets.ReasonNotAuthorized, "a certificate of the chain expired while the session lived"},
	OwnerChanged:    {"owner_changed", slog.LevelWarn, 0, 0, packets.ReasonNotAuthorized, "the sources of `VERNEGATE_IDENTITY` name another owner, or none, while the session lives"},
	MaxLifetime:     {"max_lifetime", slog.LevelInfo, 0, 0, packets.ReasonMaximumConnectTime, "the session has lived for `VERNEGATE_SESSION_MAX_LIFETIME`"},
	AdminKick:       {"admin_kick", slog.LevelInfo, 0, 0, packets.ReasonAdministrativeAction, "an operator ended the session"},
	Shutdown:        {"shutdown", slog.LevelInfo, packets.ReturnServerUnavailable, packets.ReasonServerUnavailable, packets.ReasonServerShuttingDown, "vernegate was told to stop"},
}

// Reasons returns every reason there is, in the order of the table.
func Reasons() []Reason {
	all := make([]Reason, 0, endOfReasons-1)
	for r := ProxyHeader; r < endOfReasons; r++ {
		all = append(all, r)
	}
	return all
}

// String returns the slug, such as "tls_revoked".
func (r Reason) String() string { return reasons[r].slug }

// Level is the severity at which the end of a connection with this reason is logged.
func (r Reason) Level() slog.Level { return reasons[r].level }

// Forced reports that neither side has ended the connection: the client was refused, or its session was ended.
func (r Reason) Forced() bool { return r != ClientClosed && r != BackendClosed }

// Meaning is a sentence for operators; names of variables in it are in backquotes.
func (r Reason) Meaning() string { return reasons[r].meaning }

// ReturnCode is the CONNACK return code for MQTT 3.1 and 3.1.1; 0 means close without a CONNACK.
func (r Reason) ReturnCode() packets.ReturnCode { return reasons[r].v3 }

// ReasonCode is the CONNACK reason code for MQTT 5.0; 0 means close without a CONNACK.
func (r Reason) ReasonCode() packets.ReasonCode { return reasons[r].v5 }

// DisconnectCode is the DISCONNECT reason code for a session of MQTT 5.0; 0 means close without a DISCONNECT.
func (r Reason) DisconnectCode() packets.ReasonCode { return reasons[r].bye }

// Codes of close frames (RFC 6455 §7.4.1, and the registry of IANA that goes on from there).
const (
	closeNormal        = 1000
	closeGoingAway     = 1001
	closeProtocolError = 1002
	closePolicy        = 1008
	closeTooBig        = 1009
	closeUnexpected    = 1011
	closeTryAgainLater = 1013
)

// CloseCode is the code of the close frame that ends a connection by WebSocket. It follows from the codes of MQTT where they
// say enough. A frame that is not right has a code of its own; then this one is for the rest of its kind.
func (r Reason) CloseCode() int {
	switch r {
	case ClientClosed:
		return closeNormal
	case BackendClosed, MaxLifetime, Shutdown:
		return closeGoingAway
	case WSFrame, ConnectAgain, PacketMalformed:
		return closeProtocolError
	}
	switch r.ReasonCode() {
	case packets.ReasonMalformedPacket:
		return closeProtocolError
	case packets.ReasonPacketTooLarge:
		return closeTooBig
	case packets.ReasonServerUnavailable:
		return closeUnexpected
	case packets.ReasonQuotaExceeded:
		return closeTryAgainLater
	}
	return closePolicy
}

// patience is how long the client may take to receive what it has been sent when its session is stopped. A
// client that is not trusted any more is not given the time of one that is only asked to come back later.
func (r Reason) patience() time.Duration {
	switch r {
	case CertRevoked, CertExpired, OwnerChanged, AdminKick, ConnectAgain, PacketMalformed, WSFrame:
		return time.Second
	}
	return lingerTimeout
}

// appendConnack appends the refusal that a client of version v understands, or nothing where the table says
// to close only, and for a client whose version is not known.
func (r Reason) appendConnack(dst []byte, v packets.Version) []byte {
	row := reasons[r]
	switch {
	case v == packets.V5 && row.v5 != 0, (v == packets.V31 || v == packets.V311) && row.v3 != 0:
		return packets.AppendConnack(dst, v, row.v3, row.v5)
	}
	return dst
}

// endError carries the reason for an ending from the step that met it to the one place that acts on it.
type endError struct {
	reason Reason
	err    error // what happened; nil when the reason says it all

	reply *packets.FirstPacket // what a broker said, which the client gets in place of the table's CONNACK; or nil
}

func (e *endError) Error() string {
	if e.err == nil {
		return e.reason.String()
	}
	return fmt.Sprintf("%v: %v", e.reason, e.err)
}

func (e *endError) Unwrap() error { return e.err }

func because(r Reason, err error) *endError { return &endError{reason: r, err: err} }

// errClosing is the cause of the server's context once Shutdown was called.
var errClosing = errors.New("shutting down")
