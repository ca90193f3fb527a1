// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package config turns the environment into a typed Config and reports all
// mistakes in it at once. It knows vernegate's own variables and those of the
// image that vernegate replaces.
package config

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/backend"
	"github.com/vernegate/vernegate/internal/config/legacy"
	"github.com/vernegate/vernegate/internal/identity/subject"
	"github.com/vernegate/vernegate/internal/ocsp"
	"github.com/vernegate/vernegate/internal/outbound"
	"github.com/vernegate/vernegate/internal/ownerevents"
	"github.com/vernegate/vernegate/truststore"
)

// Config is the environment, parsed: every variable that vernegate reads is
// one field here, and the type of the field says what the variable accepts.
// Of the files that it names, only those of the admin tokens are read here.
type Config struct {
	Listen        listenAddress `env:"VERNEGATE_LISTEN" envDefault:":8883"`
	ServiceListen listenAddress `env:"VERNEGATE_SERVICE_LISTEN"` // empty: no such listener
	ReusePort     portReuse     `env:"VERNEGATE_REUSE_PORT" envDefault:"false"`

	ListenALPN protocolChoice `env:"VERNEGATE_LISTEN_ALPN" envDefault:"false"`
	WSListen   listenAddress  `env:"VERNEGATE_WS_LISTEN"` // empty: no such listener
	WSPath     urlPath        `env:"VERNEGATE_WS_PATH" envDefault:"/mqtt"`
	WSOrigins  originPatterns `env:"VERNEGATE_WS_ORIGINS"` // nil: that of the host itself

	TLSCert       fileList     `env:"VERNEGATE_TLS_CERT,expand" envDefault:"/vernemq/cert/$HOSTNAME.crt"`
	TLSKey        fileList     `env:"VERNEGATE_TLS_KEY,expand" envDefault:"/vernemq/cert/$HOSTNAME.key"`
	TLSCA         fileList     `env:"VERNEGATE_TLS_CA,expand" envDefault:"/vernemq/cert/ca.crt"`
	TLSCRL        crlList      `env:"VERNEGATE_TLS_CRL,expand" envDefault:"/vernemq/cert/ca.crl"`
	TicketKeys    fileList     `env:"VERNEGATE_TICKET_KEYS,expand"` // nil: Go's own, of this process
	TLSMinVersion tlsVersion   `env:"VERNEGATE_TLS_MIN_VERSION" envDefault:"1.2"`
	TLSCiphers    cipherSuites `env:"VERNEGATE_TLS_CIPHERS"` // nil: Go's
	TLSCurves     curves       `env:"VERNEGATE_TLS_CURVES"`  // nil: Go's

	TLSCANames   truststore.CANames `env:"VERNEGATE_TLS_CA_NAMES" envDefault:"auto"`
	TLSMaxRecord recordSize         `env:"VERNEGATE_TLS_MAX_RECORD" envDefault:"16KiB"`

	TrustRefreshInterval interval          `env:"VERNEGATE_TRUST_REFRESH_INTERVAL" envDefault:"5m"`
	CRLExpired           truststore.Policy `env:"VERNEGATE_CRL_EXPIRED" envDefault:"allow"`
	CRLExpiredGrace      interval          `env:"VERNEGATE_CRL_EXPIRED_GRACE" envDefault:"24h"`
	CRLMissing           truststore.Policy `env:"VERNEGATE_CRL_MISSING" envDefault:"allow"`

	CRLFromCDP CDPUse          `env:"VERNEGATE_CRL_FROM_CDP" envDefault:"off"`
	CRLHosts   outbound.Hosts  `env:"VERNEGATE_CRL_HOSTS"` // none: only those of URLs in other variables
	CRLProxy   outbound.Proxy  `env:"VERNEGATE_CRL_PROXY" envDefault:"off"`
	CRLCA      fileList        `env:"VERNEGATE_CRL_CA,expand"` // nil: the roots of the system
	CRLRefresh refreshInterval `env:"VERNEGATE_CRL_REFRESH" envDefault:"5m"`
	CRLMaxSize listSize        `env:"VERNEGATE_CRL_MAX_SIZE" envDefault:"256MiB"`
	StateDir   string          `env:"VERNEGATE_STATE_DIR,expand"` // empty: a temporary directory

	OCSP          onOff             `env:"VERNEGATE_OCSP" envDefault:"off"`
	OCSPURL       responderURL      `env:"VERNEGATE_OCSP_URL"`     // nil: those that certificates name
	OCSPIssuers   ocsp.Issuers      `env:"VERNEGATE_OCSP_ISSUERS"` // zero: all CAs
	OCSPOnError   truststore.Policy `env:"VERNEGATE_OCSP_ON_ERROR" envDefault:"allow"`
	OCSPTimeout   timeout           `env:"VERNEGATE_OCSP_TIMEOUT" envDefault:"1s"`
	OCSPNonce     onOff             `env:"VERNEGATE_OCSP_NONCE" envDefault:"off"`
	OCSPRefresh   interval          `env:"VERNEGATE_OCSP_REFRESH" envDefault:"1h"`
	OCSPCacheSize entryCount        `env:"VERNEGATE_OCSP_CACHE_SIZE" envDefault:"100000"`

	Identity         sourceList       `env:"VERNEGATE_IDENTITY" envDefault:"certificate-acl"`
	IdentityTemplate subject.Template `env:"VERNEGATE_IDENTITY_TEMPLATE"`    // not set: there is no source "subject"
	IdentityPattern  subject.Patterns `env:"VERNEGATE_IDENTITY_PATTERN"`     // nil: none
	IdentityFile     fileName         `env:"VERNEGATE_IDENTITY_FILE,expand"` // empty: there is no source "file"
	Services         ownerPattern     `env:"VERNEGATE_SERVICES"`             // zero: owners without a colon

	ACLURL            lookupURL    `env:"CERTIFICATE_ACL_URL" envDefault:"http://certificate-acl:3000/internal/api/v1/acl-entries/"`
	ACLRequestTimeout milliseconds `env:"CERTIFICATE_ACL_REQ_TIMEOUT_MS" envDefault:"1000"`
	ACLCacheSize      entryCount   `env:"VERNEGATE_ACL_CACHE_SIZE" envDefault:"100000"`
	ACLTTL            interval     `env:"VERNEGATE_ACL_TTL" envDefault:"60s"`
	ACLNegativeTTL    interval     `env:"VERNEGATE_ACL_NEGATIVE_TTL" envDefault:"5s"`
	ACLStaleIfError   interval     `env:"VERNEGATE_ACL_STALE_IF_ERROR" envDefault:"10m"`

	ACLCA        fileList `env:"VERNEGATE_ACL_CA,expand"`         // nil: the roots of the system
	ACLCert      string   `env:"VERNEGATE_ACL_CERT,expand"`       // empty: none is shown
	ACLKey       string   `env:"VERNEGATE_ACL_KEY,expand"`        // of ACLCert
	ACLTokenFile string   `env:"VERNEGATE_ACL_TOKEN_FILE,expand"` // empty: no token

	KafkaBrokers          kafkaBrokers          `env:"VERNEGATE_KAFKA_BROKERS"` // nil: no events
	KafkaTopics           topicPattern          `env:"VERNEGATE_KAFKA_TOPICS" envDefault:"^.*dojot\\.x509-identity-mgmt\\.certificates$"`
	KafkaTLS              tlsSwitch             `env:"VERNEGATE_KAFKA_TLS" envDefault:"off"`
	KafkaTLSCA            string                `env:"VERNEGATE_KAFKA_TLS_CA,expand"`             // empty: the roots of the system
	KafkaTLSCert          string                `env:"VERNEGATE_KAFKA_TLS_CERT,expand"`           // empty: none is shown
	KafkaTLSKey           string                `env:"VERNEGATE_KAFKA_TLS_KEY,expand"`            // of KafkaTLSCert
	KafkaSASL             ownerevents.Mechanism `env:"VERNEGATE_KAFKA_SASL"`                      // empty: none
	KafkaSASLUsername     string                `env:"VERNEGATE_KAFKA_SASL_USERNAME"`             // of KafkaSASL
	KafkaSASLPassword     secret                `env:"VERNEGATE_KAFKA_SASL_PASSWORD"`             // empty: see KafkaSASLPasswordFile
	KafkaSASLPasswordFile string                `env:"VERNEGATE_KAFKA_SASL_PASSWORD_FILE,expand"` // empty: none

	Backends             backendList       `env:"VERNEGATE_BACKENDS" envDefault:"127.0.0.1:1883"`
	Balance              backend.Balance   `env:"VERNEGATE_BALANCE" envDefault:"least-connections"`
	BackendHealthURL     backend.HealthURL `env:"VERNEGATE_BACKEND_HEALTH_URL"` // empty: brokers are only dialed
	BackendProxyProtocol proxyVersion      `env:"VERNEGATE_BACKEND_PROXY_PROTOCOL" envDefault:"off"`
	BackendTLS           tlsSwitch         `env:"VERNEGATE_BACKEND_TLS" envDefault:"off"`
	BackendTLSCA         fileList          `env:"VERNEGATE_BACKEND_TLS_CA,expand"`   // nil: the roots of the system
	BackendTLSCert       string            `env:"VERNEGATE_BACKEND_TLS_CERT,expand"` // empty: none is shown
	BackendTLSKey        string            `env:"VERNEGATE_BACKEND_TLS_KEY,expand"`  // of BackendTLSCert
	BackendTLSServerName serverName        `env:"VERNEGATE_BACKEND_TLS_SERVER_NAME"` // empty: the host of each broker
	ProxyProtocolFrom    prefixList        `env:"VERNEGATE_PROXY_PROTOCOL_FROM"`     // nil: no peer sends us headers

	ClientID      clientIDPolicy `env:"VERNEGATE_CLIENT_ID" envDefault:"any"`
	StripPassword passwordPolicy `env:"VERNEGATE_PASSWORD" envDefault:"keep"`

	HandshakeTimeout timeout  `env:"VERNEGATE_HANDSHAKE_TIMEOUT" envDefault:"10s"`
	ConnectTimeout   timeout  `env:"VERNEGATE_CONNECT_TIMEOUT" envDefault:"5s"`
	DialTimeout      timeout  `env:"VERNEGATE_DIAL_TIMEOUT" envDefault:"5s"`
	ConnackTimeout   timeout  `env:"VERNEGATE_CONNACK_TIMEOUT" envDefault:"5s"`
	MaxConnectSize   byteSize `env:"VERNEGATE_MAX_CONNECT_SIZE" envDefault:"256KiB"`

	SessionRecheck     interval             `env:"VERNEGATE_SESSION_RECHECK" envDefault:"5m"`
	SessionMaxLifetime *interval            `env:"VERNEGATE_SESSION_MAX_LIFETIME"` // nil: PluginLifetime; 0: none
	PluginLifetime     lifetimeMilliseconds `env:"PLUGIN_DISC_LIFETIME_SESSION"`   // 0: none

	DrainDelay      interval        `env:"VERNEGATE_DRAIN_DELAY" envDefault:"0s"`
	DrainTimeout    interval        `env:"VERNEGATE_DRAIN_TIMEOUT" envDefault:"30s"`
	ServerReference serverReference `env:"VERNEGATE_SERVER_REFERENCE"` // empty: none

	MaxConnections         allowance  `env:"VERNEGATE_MAX_CONNECTIONS" envDefault:"0"`
	MaxConnectionsPerIP    allowance  `env:"VERNEGATE_MAX_CONNECTIONS_PER_IP" envDefault:"0"`
	MaxConnectionsPerOwner allowance  `env:"VERNEGATE_MAX_CONNECTIONS_PER_OWNER" envDefault:"0"`
	HandshakeRate          allowance  `env:"VERNEGATE_HANDSHAKE_RATE" envDefault:"0"`
	MaxHandshakes          Handshakes `env:"VERNEGATE_MAX_HANDSHAKES" envDefault:"auto"`

	ReadyNeedsBroker brokerNeed `env:"VERNEGATE_READY_NEEDS_BROKER" envDefault:"auto"`

	Admin          adminAddress `env:"VERNEGATE_ADMIN" envDefault:"127.0.0.1:8885"`
	AdminHosts     hostNames    `env:"VERNEGATE_ADMIN_HOSTS"`                  // nil: addresses and local names alone
	AdminToken     admin.Token  `env:"VERNEGATE_ADMIN_TOKEN"`                  // zero: see AdminTokenFile
	AdminTokenFile admin.Token  `env:"VERNEGATE_ADMIN_TOKEN_FILE,file,expand"` // zero: none

	AdminReadToken     admin.Token `env:"VERNEGATE_ADMIN_READ_TOKEN"`                  // zero: see AdminReadTokenFile
	AdminReadTokenFile admin.Token `env:"VERNEGATE_ADMIN_READ_TOKEN_FILE,file,expand"` // zero: everybody may read

	LogLevel  logLevel  `env:"VERNEGATE_LOG_LEVEL" envDefault:"info"`
	LogFormat LogFormat `env:"VERNEGATE_LOG_FORMAT" envDefault:"auto"`
	LogRate   allowance `env:"VERNEGATE_LOG_RATE" envDefault:"10"`

	// CRLNamed reports that VERNEGATE_TLS_CRL was set: a CRL that was named must
	// exist, the default one need not.
	CRLNamed bool

	legacy   legacyEnv          // what the patched image's environment says
	readings map[string]reading // of every variable
	mistaken map[string]bool    // variables that have their mistake
}

// A reading is what a variable was read as.
type reading struct {
	value     string // "" if it has none
	isDefault bool
}

// Load parses and checks the environment (as os.Environ gives it) and
// reports all mistakes at once, each a line of its own. An empty variable
// counts as unset. The config is usable, as far as it goes, beside an error:
// what could not be parsed is zero.
func Load(environ []string) (Config, error) {
	vars := env.ToMap(environ)
	if err := setHostname(vars); err != nil {
		return Config{}, err
	}
	return parse(vars, readLegacy(vars))
}

// parse is Load for variables in which the inherited ones are set.
func parse(vars map[string]string, old legacyEnv) (Config, error) {
	c := Config{CRLNamed: vars["VERNEGATE_TLS_CRL"] != "", legacy: old, readings: map[string]reading{}}
	m := mistakes{readings: c.readings, origin: old.origin, wrong: map[string]bool{}, errs: old.errs}
	for _, name := range Variables() {
		if isServiceLink(name, vars) { // such as VERNEGATE_REUSE_PORT, of a Service vernegate-reuse
			delete(vars, name)
		}
	}
	unquote(vars)
	m.addUnset(vars)
	err := env.ParseWithOptions(&c, env.Options{
		Environment: vars,
		OnSet:       func(name string, value any, isDefault bool) { c.readings[name] = reading{value.(string), isDefault} },
	})
	m.addParseErrors(err)
	m.addEmptyToken("VERNEGATE_ADMIN_TOKEN_FILE", vars, c.AdminTokenFile)
	m.addEmptyToken("VERNEGATE_ADMIN_READ_TOKEN_FILE", vars, c.AdminReadTokenFile)
	c.validate(&m)
	m.addUnknown(vars)
	c.mistaken = m.wrong
	return c, errors.Join(m.errs...)
}

// Mistaken reports whether Load has named a variable in its error: what follows from its value is no second mistake.
func (c Config) Mistaken(variable string) bool { return c.mistaken[variable] }

// MaxLifetime is ours or that of dojot's plugin; 0 is none.
func (c Config) MaxLifetime() time.Duration {
	if c.SessionMaxLifetime != nil {
		return time.Duration(*c.SessionMaxLifetime)
	}
	return time.Duration(c.PluginLifetime)
}

// setHostname sees to it that $HOSTNAME, which the default certificate and key
// are named after, has a value: shells set it without exporting it.
func setHostname(vars map[string]string) error {
	if vars["HOSTNAME"] != "" {
		return nil
	}
	name, err := os.Hostname()
	vars["HOSTNAME"] = name
	return err
}

// fieldVariable returns the variable that a field of config is read from.
func fieldVariable(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
	return name
}

// isSecret reports whether the value of a variable must not be shown.
func isSecret(name string) bool {
	for f := range reflect.TypeFor[Config]().Fields() {
		if fieldVariable(f) == name {
			return f.Type == reflect.TypeFor[admin.Token]() || f.Type == reflect.TypeFor[secret]()
		}
	}
	return false
}

// Variables returns the names of all variables in the order of config.
func Variables() []string {
	var names []string
	for f := range reflect.TypeFor[Config]().Fields() {
		if name := fieldVariable(f); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// Default returns the default value of a variable, "" if it has none.
func Default(variable string) string {
	for f := range reflect.TypeFor[Config]().Fields() {
		if fieldVariable(f) == variable {
			return f.Tag.Get("envDefault")
		}
	}
	return ""
}

// Map returns an environment (as os.Environ gives it) by name.
func Map(environ []string) map[string]string { return env.ToMap(environ) }

// CheckConverted reports what Load would find wrong with variables that come
// from settings of the patched broker, and names these settings.
func CheckConverted(environ []string, from []legacy.Variable) error {
	vars := env.ToMap(environ)
	if err := setHostname(vars); err != nil {
		return err
	}
	_, err := parse(vars, legacyOrigins(from))
	return err
}

// ReadToken returns what allows operators to read, the zero Token if everybody may.
func (c Config) ReadToken() admin.Token {
	if c.AdminReadTokenFile.IsSet() {
		return c.AdminReadTokenFile
	}
	return c.AdminReadToken
}

// Token returns what allows operators to change something, the zero Token if
// there is nothing.
func (c Config) Token() admin.Token {
	if c.AdminTokenFile.IsSet() {
		return c.AdminTokenFile
	}
	return c.AdminToken
}
