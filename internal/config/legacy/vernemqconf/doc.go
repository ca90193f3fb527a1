// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package vernemqconf reads what configures a VerneMQ: files in the format of
// vernemq.conf, and the environment variables that its images turn into lines
// of such a file. It knows the names of VerneMQ's keys, and keeps with every
// setting where it came from.
//
// It does not follow "include" lines, which it returns as settings of that
// name, it does not check values, and it says nothing of what a key means.
package vernemqconf
