// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vernegate/vernegate/bench/chart"
	"github.com/vernegate/vernegate/bench/peer"
)

// A table is what was measured of several proxies.
type table struct {
	proxies []string
	figures []figure             // in the order in which they came
	values  map[string][]float64 // of every round, by name of the figure and of the proxy
}

func newTable(kinds []*peer.Kind) *table {
	t := &table{values: make(map[string][]float64)}
	for _, k := range kinds {
		t.proxies = append(t.proxies, k.Name)
	}
	return t
}

// add adds a value for each of the figures.
func (t *table) add(proxy string, figures []figure, values []float64) {
	for i, f := range figures {
		if !slices.Contains(t.figures, f) {
			t.figures = append(t.figures, f)
		}
		t.values[f.name+proxy] = append(t.values[f.name+proxy], values[i]*f.factor)
	}
}

// median is the middle of what was measured, false if nothing was.
func (t *table) median(f figure, proxy string) (float64, bool) {
	return median(t.values[f.name+proxy])
}

func median(values []float64) (float64, bool) {
	if len(values) == 0 {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2, true
}

// spread is the smallest and the largest of what was measured, false unless there are several.
func (t *table) spread(f figure, proxy string) (least, most float64, ok bool) {
	values := t.values[f.name+proxy]
	if len(values) < 2 {
		return 0, 0, false
	}
	return slices.Min(values), slices.Max(values), true
}

// ratio is vernegate's part of what another proxy takes.
func (t *table) ratio(f figure, proxy, to string) (float64, bool) {
	a, ok := t.median(f, proxy)
	b, there := t.median(f, to)
	return a / b, ok && there && b > 0
}

// bases are the proxies that vernegate is compared with by ratios: each HAProxy, and io.Copy.
func (t *table) bases() []string {
	var bases []string
	for _, proxy := range t.proxies {
		if strings.HasPrefix(proxy, peer.HAProxy) {
			bases = append(bases, proxy)
		}
	}
	if len(bases) == 0 {
		bases = []string{peer.HAProxy}
	}
	return append(bases, peer.IOCopy)
}

// markdown is the table with the medians, the spread of several rounds in brackets, and vernegate's ratios to the others
// that matter most.
func (t *table) markdown() string {
	var b strings.Builder
	bases := t.bases()
	fmt.Fprintf(&b, "| | unit | %s | ÷ %s |\n", strings.Join(t.proxies, " | "), strings.Join(bases, " | ÷ "))
	b.WriteString("|---|---|" + strings.Repeat("---|", len(t.proxies)+len(bases)) + "\n")
	for _, f := range t.figures {
		fmt.Fprintf(&b, "| %s | %s |", f.name, f.unit)
		for _, proxy := range t.proxies {
			b.WriteString(t.cell(f, proxy))
		}
		for _, base := range bases {
			v, ok := t.ratio(f, peer.Vernegate, base)
			b.WriteString(cell(fmt.Sprintf("%.2f", v), ok))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (t *table) cell(f figure, proxy string) string {
	v, ok := t.median(f, proxy)
	text := number(v)
	if least, most, several := t.spread(f, proxy); several {
		text += fmt.Sprintf(" (%s–%s)", number(least), number(most))
	}
	return cell(text, ok)
}

func cell(s string, known bool) string {
	if !known {
		s = "–"
	}
	return " " + s + " |"
}

// number has three digits that count, as far as what is measured is worth.
func number(v float64) string {
	switch {
	case v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// summary is one line about what was just measured.
func summary(figures []figure, values []float64) string {
	var parts []string
	for i, f := range figures {
		parts = append(parts, fmt.Sprintf("%s %s %s", f.name, number(values[i]*f.factor), f.unit))
	}
	return strings.Join(parts, ", ")
}

// chart draws the table.
func (t *table) chart() []byte { return chart.Bars(t.bars()) }

// elapsed is the unit of times that clients wait, which say less of a proxy than of the machine.
const elapsed = "µs elapsed"

// bars has each figure of all proxies, but for elapsed times, as a part of HAProxy's, or where that was left out of io.Copy's.
func (t *table) bars() chart.BarChart {
	base := peer.HAProxy
	if !slices.Contains(t.proxies, base) {
		base = peer.IOCopy
	}
	c := chart.BarChart{Title: "What it costs, as a part of what " + base + " takes: shorter is better", Series: t.proxies, Base: base}
	for _, f := range t.figures {
		if f.unit == elapsed {
			continue
		}
		group := chart.Group{Name: f.name}
		for _, proxy := range t.proxies {
			v, _ := t.ratio(f, proxy, base) // 0 draws nothing
			group.Values = append(group.Values, v)
		}
		c.Groups = append(c.Groups, group)
	}
	return c
}
