// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"encoding/json"
	"fmt"
)

// Record is one line of vernegate's JSON log.
type Record map[string]any

// Has reports whether the attribute is there with that value, both as text.
func (r Record) Has(attribute, value string) bool {
	got, ok := r[attribute]
	return ok && fmt.Sprint(got) == value
}

// parseRecord reads a line of output; ok is false for one that is no record.
func parseRecord(line string) (r Record, ok bool) {
	return r, json.Unmarshal([]byte(line), &r) == nil && r != nil
}

// Records returns what has been logged so far and matches.
func (v *Vernegate) Records(match func(Record) bool) []Record {
	var found []Record
	for _, line := range v.Output.All() {
		if r, ok := parseRecord(line); ok && match(r) {
			found = append(found, r)
		}
	}
	return found
}

// WaitRecord returns the first record that matches, logged already or yet to come.
// It fails when ctx ends before there is one; what names it then.
func (v *Vernegate) WaitRecord(ctx context.Context, what string, match func(Record) bool) (Record, error) {
	line, err := v.Output.Wait(ctx, what, func(line string) bool {
		r, ok := parseRecord(line)
		return ok && match(r)
	})
	if err != nil {
		return nil, err
	}
	r, _ := parseRecord(line)
	return r, nil
}
