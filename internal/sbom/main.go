// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Command sbom writes the software bill of materials of a Go binary, as CycloneDX JSON:
// what the linker recorded, so what is in the binary and nothing else. It needs no
// network, and the same binary always has the same bill.
//
//	sbom BINARY VERSION >sbom.cdx.json
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// run writes the bill of the binary that the arguments name.
func run(args []string, w io.Writer) error {
	if len(args) != 2 {
		return errors.New("wrong arguments, expected BINARY VERSION")
	}
	info, err := buildinfo.ReadFile(args[0])
	if err != nil {
		return err
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(billOf(info, args[1]))
}
