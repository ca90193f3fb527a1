// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package legacy

import (
	"fmt"
	"strings"
)

const minVersion = "VERNEGATE_TLS_MIN_VERSION"

// protocolVersion finds the oldest version of TLS. VerneMQ takes a list of what
// is spoken; vernegate speaks that version and all later ones.
func (t *translator) protocolVersion() {
	from := t.shared("tls_version", minVersion)
	if len(from) == 0 {
		return
	}
	versions := strings.FieldsFunc(from[0].Value, func(r rune) bool { return strings.ContainsRune(", []'", r) })
	oldest := "1.3"
	var old []string
	for _, v := range versions {
		switch v {
		case "tlsv1.3":
		case "tlsv1.2":
			oldest = "1.2"
		case "tlsv1.1", "tlsv1":
			oldest = "1.2"
			old = append(old, v)
		default:
			t.mistake("%v: %q is none of tlsv1.3, tlsv1.2, tlsv1.1, tlsv1", from[0], v)
		}
	}
	if len(old) > 0 {
		t.each(from, Unsupported, fmt.Sprintf("vernegate speaks TLS 1.2 and 1.3: devices that can do no more than %s are refused", strings.Join(old, " and ")))
	}
	t.set(minVersion, oldest, from...)
}

// oldest is the oldest version of TLS, "" for the default.
func (t *translator) oldest() string {
	if chosen := t.Override(minVersion); chosen != "" {
		return chosen
	}
	for _, v := range t.Variables {
		if v.Name == minVersion {
			return v.Value
		}
	}
	return ""
}
