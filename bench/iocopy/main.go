// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Command iocopy is the proxy that takes an afternoon to write: TLS in, TCP out, and io.Copy both ways. It knows no
// CRLs, no owners and no MQTT, and is what the bench holds vernegate against.
//
//	iocopy LISTEN BACKEND CERT KEY CA
package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"os"
)

func main() {
	listen, backend, cert, key, ca := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		log.Fatal(err)
	}
	bundle, err := os.ReadFile(ca)
	if err != nil {
		log.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}
	config.ClientCAs.AppendCertsFromPEM(bundle)
	l, err := tls.Listen("tcp", listen, config)
	if err != nil {
		log.Fatal(err)
	}
	for {
		client, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go relay(client, backend)
	}
}

func relay(client net.Conn, backend string) {
	defer client.Close()
	broker, err := net.Dial("tcp", backend)
	if err != nil {
		return
	}
	defer broker.Close()
	go func() {
		defer client.Close()
		_, _ = io.Copy(client, broker)
	}()
	_, _ = io.Copy(broker, client)
}
