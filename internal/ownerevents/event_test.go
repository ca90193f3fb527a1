// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ownerevents

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

const (
	printed = "9A:83:2D:49:38:01:40:B5:00:3C:C0:9B:CB:7B:33:5B:90:7F:DA:23:EF:43:4F:D1:C6:F9:54:A8:1B:4B:7E:50"

	// realEvent is an event as x509-identity-mgmt publishes it, but for most of the certificate.
	realEvent = `{"metadata":{"msgid":"b3e9a7f2-2f53-4f2b-a3cb-5a4f6ac0e1d4","timestamp":1621342391000,"service":"x509-identity-mgmt",` +
		`"tenant":"admin","contentType":"application/vnd.dojot.x509-identities+json"},` +
		`"data":{"eventType":"ownership.create","eventData":{"fingerprint":"` + printed + `",` +
		`"certificatePem":"-----BEGIN CERTIFICATE-----\nMIID\n-----END CERTIFICATE-----\n","issuedByDojotPki":true,` +
		`"autoRegistered":false,"belongsTo":{"device":"a1998e"}}}}`
)

var errBadOwner = errors.New("no username")

// noPlus is a rule about owners.
func noPlus(owner string) error {
	if strings.Contains(owner, "+") {
		return errBadOwner
	}
	return nil
}

func event(kind, metadata, data string) string {
	return `{"metadata":{` + metadata + `},"data":{"eventType":"ownership.` + kind + `","eventData":{"fingerprint":"` + printed + `"` + data + `}}}`
}

func TestDecode(t *testing.T) {
	t.Parallel()
	fp, err := parseFingerprint(printed)
	if err != nil || fp.String() != printed {
		t.Fatalf("got %v, %v", fp, err)
	}
	at := time.UnixMilli(1621342391000)
	for name, row := range map[string]struct {
		value string
		want  Event
	}{
		"real":             {realEvent, Event{Create, fp, "admin:a1998e", nil, at}},
		"application":      {event("create", ``, `,"belongsTo":{"application":"v2k-bridge"}`), Event{Create, fp, "v2k-bridge", nil, time.Time{}}},
		"empty tenant":     {event("create", `"tenant":""`, `,"belongsTo":{"application":"v2k-bridge"}`), Event{Create, fp, "v2k-bridge", nil, time.Time{}}},
		"update":           {event("update", `"tenant":"admin","timestamp":1621342391000`, `,"belongsTo":{"device":"b"},"previousBelongsTo":{"device":"a"}`), Event{Update, fp, "admin:b", nil, at}},
		"delete":           {event("delete", `"tenant":"admin"`, `,"previousBelongsTo":{"device":"a"}`), Event{Delete, fp, "", nil, time.Time{}}},
		"delete, named":    {event("delete", `"tenant":"admin"`, `,"belongsTo":{"device":"a"}`), Event{Delete, fp, "", nil, time.Time{}}},
		"delete, null":     {event("delete", `"tenant":"admin"`, `,"belongsTo":null`), Event{Delete, fp, "", nil, time.Time{}}},
		"lower case":       {strings.Replace(realEvent, printed, strings.ToLower(printed), 1), Event{Create, fp, "admin:a1998e", nil, at}},
		"before 1970":      {event("delete", `"timestamp":-1`, ``), Event{Delete, fp, "", nil, time.Time{}}},
		"after all":        {event("delete", `"timestamp":1e300`, ``), Event{Delete, fp, "", nil, time.Time{}}},
		"no owner":         {event("create", `"tenant":"admin"`, ``), Event{Create, fp, "", errNobody, time.Time{}}},
		"two owners":       {event("create", `"tenant":"admin"`, `,"belongsTo":{"device":"a","application":"b"}`), Event{Create, fp, "", errBoth, time.Time{}}},
		"no tenant":        {event("update", ``, `,"belongsTo":{"device":"a"}`), Event{Update, fp, "", errTenantless, time.Time{}}},
		"tenant's service": {event("update", `"tenant":"admin"`, `,"belongsTo":{"application":"a"}`), Event{Update, fp, "", errTenant, time.Time{}}},
		"colon":            {event("create", `"tenant":"a:b"`, `,"belongsTo":{"device":"c"}`), Event{Create, fp, "", errTenantColon, time.Time{}}},
		"lone surrogate":   {event("create", `"tenant":"a"`, `,"belongsTo":{"device":"\ud800"}`), Event{Create, fp, "", errLossy, time.Time{}}},
		"no username":      {event("create", `"tenant":"a"`, `,"belongsTo":{"device":"+"}`), Event{Create, fp, "", errBadOwner, time.Time{}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Decode([]byte(row.value), noPlus)
			if err != nil || !got.At.Equal(row.want.At) {
				t.Fatalf("got %+v, %v; want %+v", got, err, row.want)
			}
			if got.At = row.want.At; got != row.want {
				t.Errorf("got %+v, want %+v", got, row.want)
			}
		})
	}
}

func TestDecodeSkips(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		value string
		want  error
	}{
		"nothing":            {"", errNotJSON},
		"no JSON":            {"ownership.delete", errNotJSON},
		"no object":          {`[]`, errNotJSON},
		"null":               {`null`, errForeign},
		"other event":        {strings.Replace(realEvent, "ownership.create", "trusted-ca.create", 1), errForeign},
		"no data":            {`{"metadata":{"tenant":"admin"},"data":{"eventType":"ownership.delete"}}`, errForeign},
		"number for a name":  {event("create", `"tenant":1`, ``), errNotJSON},
		"string for a time":  {event("create", `"timestamp":"now"`, ``), errNotJSON},
		"array for an owner": {event("create", `"tenant":"a"`, `,"belongsTo":["a"]`), errNotJSON},
		"half":               {realEvent[:len(realEvent)/2], errNotJSON},
		"two":                {realEvent + realEvent, errNotJSON},
		"large":              {`{"data":"` + strings.Repeat("x", maxEvent) + `"}`, errTooLarge},
		"deep":               {strings.Repeat("[", maxDepth+1), errDepth},
		"deep and closed":    {`{"x":` + strings.Repeat(`{"x":`, maxDepth) + `1` + strings.Repeat("}", maxDepth+1), errDepth},
		"no fingerprint":     {`{"data":{"eventType":"ownership.delete","eventData":{}}}`, errFingerprint},
		"SHA-1":              {strings.Replace(realEvent, printed, printed[:59], 1), errFingerprint},
		"without colons":     {strings.Replace(realEvent, printed, strings.ReplaceAll(printed, ":", ""), 1), errFingerprint},
		"other separators":   {strings.Replace(realEvent, printed, strings.ReplaceAll(printed, ":", "-"), 1), errFingerprint},
		"all zeros":          {strings.Replace(realEvent, printed, strings.Repeat("00:", 31)+"00", 1), errFingerprint},
		"no digits":          {strings.Replace(realEvent, printed, "ZZ"+printed[2:], 1), errFingerprint},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := Decode([]byte(row.value), noPlus); err != row.want {
				t.Errorf("got %+v, %v; want %v", got, err, row.want)
			}
		})
	}
}

// Brackets in strings are no nesting.
func TestDecodeTakesBracketsInNames(t *testing.T) {
	t.Parallel()
	value := event("create", `"tenant":"a"`, `,"certificatePem":"\"`+strings.Repeat("[", 100)+`","belongsTo":{"device":"b"}`)
	if got, err := Decode([]byte(value), noPlus); err != nil || got.Owner != "a:b" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Strings that are shortened are those that say nothing here, or whose event is unclear then.
func TestDecodeDoesNotReadLongStrings(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxName+1)
	for text, want := range map[string]error{
		`,"pem":"` + long + `","belongsTo":{"device":"b"}`:                                nil,
		`,"pem":"` + strings.Repeat(`\n\"\\`, maxName) + `","belongsTo":{"device":"b"}`:   nil,
		`,"` + long + `":1,"belongsTo":{"device":"b"}`:                                    nil,
		`,"belongsTo":{"device":"` + long + `"}`:                                          errLossy,
		`,"belongsTo":{"device":"b","application":"` + long + `"}`:                        errLossy,
		`,"belongsTo":{"device":"` + strings.Repeat("x", maxName) + `","application":""}`: nil,
	} {
		e, err := Decode([]byte(event("create", `"tenant":"a"`, text)), noPlus)
		if err != nil || !errors.Is(e.Unclear, want) {
			t.Errorf("%.40s…: got %+v and %v, want %v", text, e, err, want)
		}
	}
	for _, broken := range []string{long + "\x01", long + `\x`, long + `\u12`, long + "\n", long + `\`} {
		if _, err := Decode([]byte(event("create", `"tenant":"a"`, `,"pem":"`+broken+`","belongsTo":{"device":"b"}`)), noPlus); err != errNotJSON {
			t.Errorf("a long string that ends with %q: got %v, want %v", broken[len(long):], err, errNotJSON)
		}
	}
}

// FuzzShorten: what is shortened is JSON if and only if it was, and the rest says the same.
func FuzzShorten(f *testing.F) {
	long := strings.Repeat("M", maxName+1)
	for _, seed := range []string{realEvent, `{"a":"` + long + `","b":["c","` + long + `\n"]}`, `"` + long + `\u00e4"`, `"` + long + "\x00\"", `"` + long, `[[]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		short, tooDeep := shorten(nil, value)
		if tooDeep {
			return
		}
		var before, after any
		errBefore, errAfter := json.Unmarshal(value, &before), json.Unmarshal(short, &after)
		if (errBefore == nil) != (errAfter == nil) {
			t.Fatalf("%q: %v, and shortened to %q: %v", value, errBefore, short, errAfter)
		}
		if errBefore == nil && len(value) <= maxName && !reflect.DeepEqual(before, after) {
			t.Errorf("%q says something else than %q", short, value)
		}
		if len(short) > len(value) {
			t.Errorf("%d bytes have become %d", len(value), len(short))
		}
	})
}

// FuzzDecode: whatever the bytes, an event that is accepted has a fingerprint in its one spelling, and an owner that is
// valid or named as unclear.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		realEvent, event("delete", ``, ``), event("update", `"tenant":"a"`, `,"belongsTo":{"device":"b"}`),
		event("create", ``, `,"belongsTo":{"application":"b"}`), event("create", `"tenant":"a"`, `,"belongsTo":{"device":"+"}`),
		strings.Repeat("[", 40), `null`, `{}`, "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		e, err := Decode(value, noPlus)
		if err != nil {
			if e != (Event{}) {
				t.Errorf("got %+v with %v", e, err)
			}
			return
		}
		if again, err := parseFingerprint(e.Fingerprint.String()); err != nil || again != e.Fingerprint {
			t.Errorf("fingerprint %v is %v when it is read again, %v", e.Fingerprint, again, err)
		}
		if !strings.Contains(strings.ToUpper(string(value)), e.Fingerprint.String()) && !strings.Contains(string(value), `\u`) {
			t.Errorf("fingerprint %v is not in the event", e.Fingerprint)
		}
		switch e.Type {
		case Delete:
			if e.Owner != "" || e.Unclear != nil {
				t.Errorf("a delete with an owner: %+v", e)
			}
		case Create, Update:
			if (e.Owner == "") != (e.Unclear != nil) {
				t.Errorf("an owner that is neither told nor unclear: %+v", e)
			}
			if e.Owner != "" && (noPlus(e.Owner) != nil || !utf8.ValidString(e.Owner) || strings.Count(e.Owner, ":") == 0 && strings.Contains(e.Owner, "\uFFFD")) {
				t.Errorf("owner %q is not valid", e.Owner)
			}
		default:
			t.Errorf("type %q", e.Type)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	value := []byte(strings.Replace(realEvent, "MIID", strings.Repeat("MIIDszCCApugAwIBAgIUEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLE", 30), 1))
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(value, noPlus); err != nil {
			b.Fatal(err)
		}
	}
}
