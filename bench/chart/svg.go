// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package chart draws charts as SVG that can be read on light and on dark pages.
package chart

import (
	"bytes"
	"fmt"
	"html"
)

// style has the colours of both kinds of pages. A picture in a page follows what the reader's system prefers.
const style = `<style>
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.small { font-size: 11px; fill: #59636e }
.value { font-size: 11px; fill: #59636e; paint-order: stroke; stroke: #ffffff; stroke-width: 4px }
.grid { stroke: #d1d9e0; stroke-width: 1 }
.base { stroke: #59636e; stroke-width: 1.5; stroke-dasharray: 4 3 }
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round; stroke-linecap: round }
.f0 { fill: #2a78d6 } .f1 { fill: #eda100 } .f2 { fill: #1baf7a } .f3 { fill: #8c959f } .f4 { fill: #a475f9 }
.s0 { stroke: #2a78d6 } .s1 { stroke: #eda100 } .s2 { stroke: #1baf7a } .s3 { stroke: #8c959f } .s4 { stroke: #a475f9 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.small { fill: #9198a1 }
.value { fill: #9198a1; stroke: #0d1117 }
.grid { stroke: #3d444d }
.base { stroke: #9198a1 }
.f0 { fill: #3987e5 } .f1 { fill: #c98500 } .f2 { fill: #199e70 } .f3 { fill: #656c76 } .f4 { fill: #8957e5 }
.s0 { stroke: #3987e5 } .s1 { stroke: #c98500 } .s2 { stroke: #199e70 } .s3 { stroke: #656c76 } .s4 { stroke: #8957e5 }
}
</style>
`

// colours is how many series can be told apart.
const colours = 5

// A picture is an SVG being written; lengths are pixels.
type picture struct{ bytes.Buffer }

func newPicture(width, height int, title string) *picture {
	p := &picture{}
	p.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`, width, height, width, height)
	p.add("<title>%s</title>\n%s", html.EscapeString(title), style)
	p.text(0, 18, "title", "start", title)
	return p
}

func (p *picture) add(format string, args ...any) { fmt.Fprintf(p, format, args...) }

// text writes at the baseline y; anchor is start, middle or end.
func (p *picture) text(x, y float64, class, anchor, text string) {
	p.add("<text x=\"%.1f\" y=\"%.1f\" class=%q text-anchor=%q>%s</text>\n", x, y, class, anchor, html.EscapeString(text))
}

func (p *picture) line(class string, x1, y1, x2, y2 float64) {
	p.add("<line class=%q x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", class, x1, y1, x2, y2)
}

// swatch is a key of the legend, and returns where the next one may begin.
func (p *picture) swatch(x, y float64, colour int, name string) float64 {
	p.add("<rect class=\"f%d\" x=\"%.1f\" y=\"%.1f\" width=\"10\" height=\"10\" rx=\"2\"/>\n", colour%colours, x, y-9)
	p.text(x+15, y, "", "start", name)
	return x + 15 + float64(len([]rune(name)))*7.5 + 18
}

func (p *picture) done() []byte {
	p.add("</svg>\n")
	return p.Bytes()
}
