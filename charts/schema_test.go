// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
)

// schema is as much of a JSON schema as says which values there are.
type schema struct {
	Properties           map[string]schema `json:"properties"`
	AdditionalProperties any               `json:"additionalProperties"`
}

// TestSchemaKnowsTheValuesAndNoOthers walks both, so that a value cannot be added to one
// of them alone.
func TestSchemaKnowsTheValuesAndNoOthers(t *testing.T) {
	t.Parallel()
	var s schema
	if err := json.Unmarshal(loadChart(t).Schema, &s); err != nil {
		t.Fatal(err)
	}
	values, err := chartutil.ReadValuesFile("vernegate/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	delete(s.Properties, "global") // Helm's
	s.Properties["env"] = schema{} // internal/docs has a test of its names
	wantSameValues(t, "", s, values)
}

func wantSameValues(t *testing.T, path string, s schema, values map[string]any) {
	t.Helper()
	if len(s.Properties) == 0 {
		return // free, as Kubernetes defines it
	}
	if s.AdditionalProperties != false {
		t.Errorf("the schema allows anything in %q", path)
	}
	got, want := slices.Sorted(maps.Keys(s.Properties)), slices.Sorted(maps.Keys(values))
	if !slices.Equal(got, want) {
		t.Errorf("in %q the schema has\n%q\nand values.yaml\n%q", path, got, want)
	}
	for name, property := range s.Properties {
		if inner, ok := values[name].(map[string]any); ok {
			wantSameValues(t, path+"/"+name, property, inner)
		}
	}
}
