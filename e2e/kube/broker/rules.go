// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"
)

// rules are the content of an ACL file as vmq_acl reads it.
type rules struct {
	list []rule
}

// rule allows something.
type rule struct {
	user        string // who alone; "" = everybody
	read, write bool
	filter      string // may have %u and %c, where pattern is true
	pattern     bool
}

// readRules reads an ACL file: lines of "user NAME", and of "topic" or "pattern" with
// "read", "write" or neither, and a filter. A topic is for the user above it, a pattern for all.
func readRules(path string) (*rules, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r, user := &rules{}, ""
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case len(words) == 2 && words[0] == "user":
			user = words[1]
		case len(words) > 1 && (words[0] == "topic" || words[0] == "pattern"):
			fresh := rule{filter: words[len(words)-1], pattern: words[0] == "pattern"}
			if !fresh.pattern {
				fresh.user = user
			}
			fresh.read = len(words) == 2 || words[1] != "write"
			fresh.write = len(words) == 2 || words[1] != "read"
			r.list = append(r.list, fresh)
		default:
			return nil, fmt.Errorf("reading %s: %q is no rule", path, strings.TrimSpace(line))
		}
	}
	return r, nil
}

// mayWrite reports whether a client may publish to a topic.
func (r *rules) mayWrite(user, clientID, topic string) bool {
	return r.allow(user, clientID, topic, func(rule rule) bool { return rule.write })
}

// mayRead reports whether a client may subscribe to a filter: one that a rule's own
// filter, which treats its wildcards as words, matches.
func (r *rules) mayRead(user, clientID, filter string) bool {
	return r.allow(user, clientID, filter, func(rule rule) bool { return rule.read })
}

func (r *rules) allow(user, clientID, topic string, kind func(rule) bool) bool {
	if r == nil {
		return true
	}
	for _, rule := range r.list {
		filter := rule.filter
		if rule.pattern {
			filter = strings.NewReplacer("%u", user, "%c", clientID).Replace(filter)
		}
		if kind(rule) && (rule.user == "" || rule.user == user) && matches(filter, topic) {
			return true
		}
	}
	return false
}

// matches reports whether a topic matches a filter (MQTT 5.0 §4.7).
func matches(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		switch {
		case level == "#":
			return true
		case i >= len(t), level != "+" && level != t[i]:
			return false
		}
	}
	return len(f) == len(t)
}
