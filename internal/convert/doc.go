// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package convert turns the configuration of dojot's patched VerneMQ into one
// for stock VerneMQ behind vernegate: its vernemq.conf, its ACL file, vernegate's
// environment, and a report that says of every setting what became of it and
// why.
//
// The same input always gives the same output, byte for byte, and converting
// what was converted changes nothing. It reads and writes no files by itself,
// but for [Result.Write].
package convert
