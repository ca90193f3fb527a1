// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"slices"
)

// A BarChart has a bar for each series in each group. The values are parts of those of one series, the base, which is
// drawn as a line at 1.
type BarChart struct {
	Title  string
	Series []string
	Base   string // one of Series
	Groups []Group
}

// A Group is the values of all series; 0 = there is none.
type Group struct {
	Name   string
	Values []float64
}

// Measures of a bar chart, in pixels.
const (
	barsWidth  = 900.0
	barsLeft   = 300.0 // where bars begin
	barsTop    = 62.0
	barHeight  = 9.0
	barPitch   = 12.0
	groupSpace = 9.0
	barsUnit   = 270.0 // of a value of 1
	longestBar = 2.0   // what is longer is cut, and its value says how long it is
)

// Bars draws a bar chart. The first series, which the chart is about, stands out.
func Bars(c BarChart) []byte {
	base := slices.Index(c.Series, c.Base)
	pitch := float64(len(c.Series)-1)*barPitch + groupSpace
	bottom := barsTop + float64(len(c.Groups))*pitch
	p := newPicture(int(barsWidth), int(bottom)+24, c.Title)

	at := 0.0
	for i, name := range c.Series {
		if i != base {
			at = p.swatch(at, 40, i, name)
		}
	}
	for _, tick := range []float64{0, .25, .5, .75, 1, 1.25, 1.5, 1.75, 2} {
		x := barsLeft + tick*barsUnit
		p.line(map[bool]string{true: "base", false: "grid"}[tick == 1], x, barsTop-6, x, bottom)
		p.text(x, bottom+14, "small", "middle", fmt.Sprint(tick))
	}
	p.text(barsLeft+barsUnit, barsTop-12, "small", "middle", c.Base+" = 1")
	for i, group := range c.Groups {
		p.group(barsTop+float64(i)*pitch, group, base)
	}
	return p.done()
}

func (p *picture) group(y float64, g Group, base int) {
	drawn := 0
	for i, v := range g.Values {
		if i == base {
			continue
		}
		if v > 0 {
			p.bar(y+float64(drawn)*barPitch, i, v)
		}
		drawn++
	}
	p.text(barsLeft-10, y+(float64(drawn)*barPitch)/2+3, "", "end", g.Name)
}

func (p *picture) bar(y float64, colour int, v float64) {
	width := min(v, longestBar) * barsUnit
	p.add("<rect class=\"f%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"2\"/>\n",
		colour%colours, barsLeft, y, width, barHeight)
	p.text(barsLeft+width+5, y+barHeight-.5, "value", "start", fmt.Sprintf("%.2f", v))
}
