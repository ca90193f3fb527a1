// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/bench/chart"
)

// elements counts the elements of an SVG by name and gathers its text.
func elements(t *testing.T, svg []byte) (count map[string]int, text string) {
	t.Helper()
	count = map[string]int{}
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return count, text
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		switch token := token.(type) {
		case xml.StartElement:
			count[token.Name.Local]++
		case xml.CharData:
			text += string(token) + "\n"
		}
	}
}

func TestBarsAreDrawnForAllButTheBase(t *testing.T) {
	t.Parallel()
	svg := chart.Bars(chart.BarChart{
		Title: "less < more", Series: []string{"us", "them", "others"}, Base: "them",
		Groups: []chart.Group{{"work", []float64{.5, 1, 1.25}}, {"rest", []float64{7, 1, 0}}},
	})
	count, text := elements(t, svg)
	const legend, bars = 2, 3
	if got := count["rect"]; got != legend+bars {
		t.Errorf("got %d rectangles, want %d", got, legend+bars)
	}
	for _, want := range []string{"less < more", "them = 1", "work", "0.50", "1.25", "7.00"} {
		if !strings.Contains(text, want) {
			t.Errorf("the chart does not say %q", want)
		}
	}
}
