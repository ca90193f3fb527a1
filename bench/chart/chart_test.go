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

// So many proxies are compared at most.
func TestFiveSeriesHaveColoursOfTheirOwn(t *testing.T) {
	t.Parallel()
	svg := string(chart.Bars(chart.BarChart{Series: []string{"a", "b", "c", "d", "e"}, Base: "b", Groups: []chart.Group{{"work", []float64{1, 1, 1, 1, 1}}}}))
	for _, class := range []string{"f0", "f2", "f3", "f4"} {
		if n := strings.Count(svg, `class="`+class+`"`); n != 2 || !strings.Contains(svg, "."+class+" {") {
			t.Errorf("%d rectangles have the colour %s, want the one in the legend and a bar", n, class)
		}
	}
}

func TestLinesHaveAPointForEachValue(t *testing.T) {
	t.Parallel()
	svg := chart.Lines(chart.LineChart{
		Title: "growth", XName: "sessions", X: []float64{100, 1000, 27000},
		Lines: []chart.Line{{"one", []float64{3, 2, 1}}, {"other", []float64{0, 40, 41}}},
	})
	count, text := elements(t, svg)
	if count["circle"] != 6 || count["polyline"] != 2 {
		t.Errorf("got %d points and %d lines, want 6 and 2", count["circle"], count["polyline"])
	}
	for _, want := range []string{"growth", "sessions", "one", "other", "100", "27\u2009000", "60"} {
		if !strings.Contains(text, want) {
			t.Errorf("the chart does not say %q", want)
		}
	}
}

func TestALineOfZeroesIsDrawn(t *testing.T) {
	t.Parallel()
	count, _ := elements(t, chart.Lines(chart.LineChart{X: []float64{1}, Lines: []chart.Line{{Y: []float64{0}}}}))
	if count["circle"] != 1 {
		t.Errorf("got %d points, want 1", count["circle"])
	}
}
