// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Command standin takes the place of what dojot has around the broker, for trying
// vernegate out: it makes certificates, as cert-sidecar brings them, answers
// whose they are, as certificate-acl does, and tells Kafka when that changes, as x509-identity-mgmt does.
//
//	standin certs DIR [HOST]     files for a server that is called HOST, a device and the bridges
//	standin serve ADDRESS DIR    certificate-acl, for the certificates in DIR
//	standin own KAFKA DIR CLIENT [OWNER]    x509-identity-mgmt: gives a client's certificate to an owner, or to nobody
//
// Its keys are for nothing else, as everybody can read them.
package main

import (
	"fmt"
	"os"
)

const usage = `standin certs DIR [HOST]
standin serve ADDRESS DIR
standin own KAFKA DIR CLIENT [OWNER]
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "standin:", err)
		os.Exit(1)
	}
}

// run does what the arguments say, until it is done or fails.
func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "certs":
		return makeCerts(args[1], "localhost")
	case len(args) == 3 && args[0] == "certs":
		return makeCerts(args[1], args[2])
	case len(args) == 3 && args[0] == "serve":
		return serve(args[1], args[2])
	case len(args) == 4 && args[0] == "own":
		return own(args[1], args[2], args[3], "")
	case len(args) == 5 && args[0] == "own":
		return own(args[1], args[2], args[3], args[4])
	}
	return fmt.Errorf("wrong arguments, expected\n%s", usage)
}
