// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets

import "fmt"

// A ReturnCode is the answer of a 3.1 or 3.1.1 CONNACK (3.1.1, table 3.1).
type ReturnCode byte

const (
	ReturnAccepted                    ReturnCode = 0
	ReturnUnacceptableProtocolVersion ReturnCode = 1
	ReturnIdentifierRejected          ReturnCode = 2
	ReturnServerUnavailable           ReturnCode = 3
	ReturnBadUserNameOrPassword       ReturnCode = 4
	ReturnNotAuthorized               ReturnCode = 5
)

func (c ReturnCode) String() string {
	switch c {
	case ReturnAccepted:
		return "connection accepted"
	case ReturnUnacceptableProtocolVersion:
		return "unacceptable protocol version"
	case ReturnIdentifierRejected:
		return "identifier rejected"
	case ReturnServerUnavailable:
		return "server unavailable"
	case ReturnBadUserNameOrPassword:
		return "bad user name or password"
	case ReturnNotAuthorized:
		return "not authorized"
	}
	return fmt.Sprintf("return code %d", byte(c))
}

// A ReasonCode is the answer of a 5.0 packet (5.0, section 2.4). Named here
// are those that vernegate sends or looks for; a broker may send others.
type ReasonCode byte

const (
	ReasonSuccess                    ReasonCode = 0x00
	ReasonContinueAuthentication     ReasonCode = 0x18
	ReasonMalformedPacket            ReasonCode = 0x81
	ReasonProtocolError              ReasonCode = 0x82
	ReasonUnsupportedProtocolVersion ReasonCode = 0x84
	ReasonClientIdentifierNotValid   ReasonCode = 0x85
	ReasonNotAuthorized              ReasonCode = 0x87
	ReasonServerUnavailable          ReasonCode = 0x88
	ReasonServerShuttingDown         ReasonCode = 0x8B
	ReasonPacketTooLarge             ReasonCode = 0x95
	ReasonQuotaExceeded              ReasonCode = 0x97
	ReasonAdministrativeAction       ReasonCode = 0x98
	ReasonUseAnotherServer           ReasonCode = 0x9C
	ReasonMaximumConnectTime         ReasonCode = 0xA0
)

func (c ReasonCode) String() string {
	switch c {
	case ReasonSuccess:
		return "success"
	case ReasonContinueAuthentication:
		return "continue authentication"
	case ReasonMalformedPacket:
		return "malformed packet"
	case ReasonProtocolError:
		return "protocol error"
	case ReasonUnsupportedProtocolVersion:
		return "unsupported protocol version"
	case ReasonClientIdentifierNotValid:
		return "client identifier not valid"
	case ReasonNotAuthorized:
		return "not authorized"
	case ReasonServerUnavailable:
		return "server unavailable"
	case ReasonServerShuttingDown:
		return "server shutting down"
	case ReasonPacketTooLarge:
		return "packet too large"
	case ReasonQuotaExceeded:
		return "quota exceeded"
	case ReasonAdministrativeAction:
		return "administrative action"
	case ReasonUseAnotherServer:
		return "use another server"
	case ReasonMaximumConnectTime:
		return "maximum connect time"
	}
	return fmt.Sprintf("reason code 0x%02x", byte(c))
}
