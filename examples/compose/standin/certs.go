// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vernegate/vernegate/truststore/certtest"
)

// ownersFile maps the fingerprints of the certificates beside it to their owners.
const ownersFile = "owners.json"

// fileMode lets every container read everything: these keys protect nothing.
const fileMode = 0o644

// clients are the names of the clients' files and who owns their certificates.
var clients = []struct{ file, owner string }{
	{"device", "admin:lamp1"},
	{"v2k-bridge", "v2k-bridge"},
	{"k2v-bridge", "k2v-bridge"},
}

// makeCerts writes the files of a small public key infrastructure into dir, unless
// they are there: the server's under its name, with the names that dojot's compose
// file has for the others.
func makeCerts(dir, host string) error {
	if _, err := os.Stat(filepath.Join(dir, ownersFile)); err == nil {
		return nil
	}
	root := certtest.NewCA("example root")
	server := root.Issue(host, certtest.Server(host, "localhost", "127.0.0.1"))
	files := map[string][]byte{
		host + ".crt":  server.CertPEM(),
		host + ".key":  server.KeyPEM(),
		"ca.crt":       root.PEM(),
		"cabundle.crt": root.PEM(),
		"ca.crl":       certtest.PEMEncodeCRL(root.CRL(certtest.CRLOptions{Number: 1})),
	}
	owners := map[string]string{}
	for _, c := range clients {
		cert := root.Issue(c.file)
		files[c.file+".crt"], files[c.file+".key"] = cert.CertPEM(), cert.KeyPEM()
		owners[fingerprint(cert.Leaf)] = c.owner
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, fileMode); err != nil {
			return err
		}
	}
	return writeOwners(dir, owners) // last: with it, all are there
}

func writeOwners(dir string, owners map[string]string) error {
	text, err := json.MarshalIndent(owners, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, ownersFile), text, fileMode)
}

func readOwners(dir string) (owners map[string]string, err error) {
	text, err := os.ReadFile(filepath.Join(dir, ownersFile))
	if err == nil {
		err = json.Unmarshal(text, &owners)
	}
	return owners, err
}

// fingerprint is what certificate-acl calls a certificate.
func fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}
