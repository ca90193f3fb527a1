// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// An expiry is something that has to be replaced in time.
type expiry struct {
	What     string
	Name     string
	End      time.Time
	Left     string // until then, for people
	Past     string // what has become of it: " was due", " expired", or "" before the end
	Severity Severity

	GoodUntil time.Time // of a CRL
}

// What has to be replaced.
const (
	whatServer = "server certificate"
	whatClient = "certificate for brokers or certificate-acl"
	whatCA     = "CA"
	whatCRL    = "CRL"
)

// addExpiries shows what ends first.
func (v *view) addExpiries(all []expiry) {
	shown := min(len(all), shownExpiries)
	v.Expiries, v.MoreExpiries = all[:shown], len(all)-shown
}

// expiries lists what has an end, the next one first.
func (v *view) expiries() (all []expiry) {
	if v.Trust == nil {
		return nil
	}
	for _, c := range v.Trust.Certificates {
		what := whatCA
		switch c.Kind {
		case KindServer:
			what = whatServer
		case KindClient:
			what = whatClient
		}
		all = append(all, v.expiry(expiry{What: what, Name: c.Subject, End: c.NotAfter, Severity: c.Severity}, " expired"))
	}
	for _, c := range v.Trust.CRLs {
		if !c.NextUpdate.IsZero() {
			all = append(all, v.expiry(expiry{What: whatCRL, Name: c.Issuer, End: c.NextUpdate, Severity: c.Severity, GoodUntil: c.GoodUntil}, " was due"))
		}
	}
	slices.SortStableFunc(all, func(a, b expiry) int { return a.End.Compare(b.End) })
	return all
}

// expiry completes e with what the time makes of it; past is what is said of it behind its end.
func (v *view) expiry(e expiry, past string) expiry {
	until := e.End.Sub(v.Now)
	e.Left = left(until)
	if until < 0 {
		e.Past = past
	}
	return e
}

// left says when something ends, or has ended.
func left(d time.Duration) string {
	if d < 0 {
		return ago(-d)
	}
	return "in " + span(d)
}

// span rounds down to the unit that people would use.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// attention is something that an operator should look at now.
type attention struct {
	Severity Severity // Warning or Critical
	When     string   // to look at it: now or soon; "" = nothing is to be done about it
	Text     string
	More     []string // details, a line each
}

// attention lists what is not as it should be, what is worst first.
func (s *Status) attention(expiries []expiry) (list []attention) {
	add := func(t Severity, more []string, format string, args ...any) {
		when := "Soon"
		if t == Critical {
			when = "Now"
		}
		list = append(list, attention{t, when, fmt.Sprintf(format, args...), more})
	}
	switch s.State {
	case Ready:
	case Draining:
		list = append(list, attention{Severity: Warning, Text: "Draining: new devices are sent elsewhere."})
	case NotReady:
		add(Critical, nil, "Not ready: %s. New devices are sent elsewhere.", s.Detail)
	default:
		list = append(list, attention{Severity: Warning, Text: fmt.Sprintf("Not ready for devices yet: %s.", s.Detail)})
	}
	if look := s.LastLook; look != nil && s.Trust == nil && len(look.Errors) > 0 {
		add(Critical, look.Errors, "The trust files are refused. Devices cannot connect until they are good.")
	}
	if s.Trust != nil {
		for _, p := range s.Trust.Refused {
			add(Critical, strings.Split(p.Error, "\n"), "The trust files are refused in part: %s in %s, since %s. The last good version of this part stays in use, if there was one; all other parts count.", p.What(), p.File, stamp(p.Since))
		}
	}
	for _, c := range s.CRLSources {
		if c.NotKept != "" {
			add(Warning, []string{c.NotKept}, "The CRL at %s is in use, but cannot be kept on the disk. The next start begins with an older one, or none.", c.URL)
		}
		if c.Error != "" {
			add(c.Severity, []string{c.Error}, "The CRL at %s cannot be fetched, since %s. The last good one stays in use, if there was one.", c.URL, stamp(c.FailingSince))
		}
	}
	if acl := s.CertificateACL; acl != nil && acl.Failing() {
		add(Critical, nil, "certificate-acl %s, %s. Devices in the cache can still connect, others cannot.",
			acl.LastDetail, ago(s.Now.Sub(acl.LastFailure)))
	}
	if f := s.IdentityFile; f != nil && f.Refused {
		add(Critical, f.Errors, "The file of owners %s is refused, since %s. The last good one stays in use, also for lines that were removed.", f.Path, stamp(f.RefusedSince))
	}
	if s.OCSP != nil {
		s.OCSP.attention(add)
	}
	if k := s.Kafka; k != nil && k.Severity == Critical {
		add(Critical, []string{k.LastError}, "Kafka is %s, %s. Devices that are taken from their owner stay until they are asked for again.", k.State, since(s.Now.Sub(k.Since)))
	}
	for _, b := range s.Backends {
		if b.Severity == Critical {
			add(Critical, b.details(), "Backend %s is %s.", b.Address, b.State)
		}
	}
	for _, t := range expiries {
		switch {
		case t.Severity == OK:
		case t.What == whatCRL && s.Now.After(t.GoodUntil):
			add(t.Severity, nil, "The CRL of %s should have been replaced %s. The devices of this CA are refused.", t.Name, t.Left)
		case t.What == whatCRL:
			add(t.Severity, nil, "The CRL of %s should have been replaced %s. It is still used, until %s.", t.Name, t.Left, stamp(t.GoodUntil))
		case s.Now.After(t.End):
			add(t.Severity, nil, "The %s %s expired %s.", t.What, t.Name, t.Left)
		default:
			add(t.Severity, nil, "The %s %s expires %s.", t.What, t.Name, t.Left)
		}
	}
	for _, l := range s.Limits {
		switch l.Severity() {
		case Critical:
			add(Critical, nil, "%s are used up: %s of %s. %s", sentence(l.Name), number(*l.Used), number(l.Limit), l.UsedUp)
		case Warning:
			add(Warning, nil, "%s are nearly used up: %s of %s.", sentence(l.Name), number(*l.Used), number(l.Limit))
		}
	}
	slices.SortStableFunc(list, func(a, b attention) int { return rank(b.Severity) - rank(a.Severity) })
	return list
}

// Severity reports whether a limit is reached, or nearly.
func (l Limit) Severity() Severity {
	switch {
	case l.Used == nil || l.Limit == 0 || 10**l.Used < 9*l.Limit:
		return OK
	case *l.Used < l.Limit:
		return Warning
	}
	return Critical
}

// sentence is how a sentence begins with a name.
func sentence(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

// attention names the CAs whose responders fail.
func (o *OCSP) attention(add func(t Severity, more []string, format string, args ...any)) {
	severity, effect := Warning, "let in, and asked about again soon"
	if o.OnError == "deny" {
		severity, effect = Critical, "refused"
	}
	for _, i := range o.Issuers {
		if i.Failing() {
			add(severity, []string{i.LastDetail}, "The OCSP responder of %s fails. Devices whose status is not remembered are %s.", i.Issuer, effect)
		}
	}
}

// What names a part for people; one that it does not know has its own word.
func (p *Part) What() string {
	words := map[string]string{
		"server": "server certificate", "cas": "CAs", "crl": "CRL", "tickets": "session ticket keys",
		"backend_tls": "CAs and certificate for brokers", "acl_tls": "CAs and certificate for certificate-acl",
		"acl_token": "token for certificate-acl", "crl_tls": "CAs for servers of CRLs",
	}
	if text, ok := words[p.Part]; ok {
		return text
	}
	return p.Part
}

// What says for people what came of looking at the trust files.
func (l *Look) What() string {
	words := map[string]string{
		"unchanged": "nothing has changed", "swapped": "what has changed is in use",
		"settling": "something is missing, which counts if it stays so for a moment", "refused": "something is refused",
	}
	if text, ok := words[l.Result]; ok {
		return text
	}
	return l.Result
}

// details are what is known of why a backend is not well.
func (b *Backend) details() (lines []string) {
	for _, line := range []string{b.Reason, b.Detail} {
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func rank(t Severity) int { return slices.Index([]Severity{OK, Warning, Critical}, t) }

// since says for how long something is so.
func since(d time.Duration) string { return "for " + span(max(d, 0)) }

// ago says when something was.
func ago(d time.Duration) string {
	if d < time.Second {
		return "just now"
	}
	return span(d) + " ago"
}

// Ago says when it was, seen from the time of the page.
func (v *view) Ago(t time.Time) string { return ago(v.Now.Sub(t)) }

// Uptime is for people.
func (v *view) Uptime() string { return span(time.Duration(v.UptimeSeconds) * time.Second) }

// Times are UTC, as in the log.

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
func iso(t time.Time) string   { return t.UTC().Format(time.RFC3339) }
func clock(t time.Time) string { return t.UTC().Format("15:04:05") }
func day(t time.Time) string   { return t.UTC().Format("2006-01-02 15:04") }

// number groups digits with narrow no-break spaces.
func number(n int) string { return count(n) }

// count is number for integers of every type.
func count(n any) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
}

// percent rounds down, lest 99.96 looks like all.
func percent(ratio *float64) string {
	if ratio == nil {
		return "–"
	}
	tenths := int(*ratio * 1000)
	return fmt.Sprintf("%d.%d %%", tenths/10, tenths%10)
}
