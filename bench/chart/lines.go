// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"math"
	"strconv"
)

// A LineChart has lines over the same numbers, which lie on a logarithmic scale.
type LineChart struct {
	Title string
	XName string
	X     []float64 // ascending, above 0
	Lines []Line
}

// A Line is a value, 0 or more, for each X.
type Line struct {
	Name string // shown where there are several
	Y    []float64
}

// Measures of a line chart, in pixels.
const (
	linesWidth  = 720.0
	linesHeight = 300.0
	linesLeft   = 60.0
	linesRight  = 20.0
	linesTop    = 64.0
	linesBottom = 44.0
)

// Lines draws a line chart whose vertical scale begins at 0.
func Lines(c LineChart) []byte {
	p := newPicture(int(linesWidth), int(linesHeight), c.Title)
	at := 0.0
	for i, line := range c.Lines {
		if len(c.Lines) > 1 {
			at = p.swatch(at, 40, i, line.Name)
		}
	}
	x, y := c.across(), c.upwards(p)
	for _, v := range c.X {
		p.line("grid", x(v), linesTop, x(v), linesHeight-linesBottom)
		p.text(x(v), linesHeight-linesBottom+16, "small", "middle", thousands(v))
	}
	p.text((linesLeft+linesWidth-linesRight)/2, linesHeight-8, "small", "middle", c.XName)
	for i, line := range c.Lines {
		p.curve(i, c.X, line.Y, x, y)
	}
	return p.done()
}

func (c *LineChart) across() func(float64) float64 {
	first, last := math.Log(c.X[0]), math.Log(c.X[len(c.X)-1])
	scale := (linesWidth - linesLeft - linesRight) / max(last-first, 1)
	return func(v float64) float64 { return linesLeft + (math.Log(v)-first)*scale }
}

// upwards draws the scale and returns it.
func (c *LineChart) upwards(p *picture) func(float64) float64 {
	most := 0.0
	for _, line := range c.Lines {
		for _, v := range line.Y {
			most = max(most, v)
		}
	}
	step := niceStep(most / 4)
	top := math.Max(1, math.Ceil(most/step)) * step
	y := func(v float64) float64 { return linesHeight - linesBottom - v/top*(linesHeight-linesBottom-linesTop) }
	for i := 0; float64(i)*step <= top+step/2; i++ {
		v := float64(i) * step
		p.line("grid", linesLeft, y(v), linesWidth-linesRight, y(v))
		p.text(linesLeft-8, y(v)+4, "small", "end", thousands(v))
	}
	return y
}

func (p *picture) curve(colour int, xs, ys []float64, x, y func(float64) float64) {
	p.add(`<polyline class="line s%d" points="`, colour%colours)
	for i, v := range ys {
		p.add("%.1f,%.1f ", x(xs[i]), y(v))
	}
	p.add("\"/>\n")
	for i, v := range ys {
		p.add("<circle class=\"f%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>\n", colour%colours, x(xs[i]), y(v))
	}
}

// niceStep is the least of 1, 2 and 5 times a power of ten that is not less than v.
func niceStep(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v {
			return m * power
		}
	}
	return 10 * power
}

// thousands writes a number with thin spaces between thousands.
func thousands(v float64) string {
	if v < 10_000 || v != math.Trunc(v) {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	return fmt.Sprintf("%d\u2009%03d", int(v)/1000, int(v)%1000)
}
