// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"fmt"
	"strings"
	"time"

	"github.com/vernegate/vernegate/proxy"
)

// series is how many reasons have a colour of their own; the rest share one.
const series = 5

// A chart shows refusals by reason over the last hour, as stacked bars, one a
// minute. It is drawn in units of its own, a bar being one wide and Height
// high, and stretched to where it is shown.
type chart struct {
	Total  int
	Top    int // what the highest line stands for
	Height int
	Bars   []bar
	Legend []legend
}

type bar struct {
	X     int
	Title string // what it says, in words
	Parts []part
}

// A part of a bar, from above.
type part struct {
	Series    int // 1 to series, series+1 = the others
	Y, Height float64
}

type legend struct {
	Series  int
	Reason  string
	Meaning string
	Count   int
}

// chartHeight is fine enough for bars to be exact to the pixel.
const chartHeight = 1000

// newChart draws the counts of minutes, the last of which is now.
func newChart(hour []map[proxy.Reason]int, now time.Time) *chart {
	sums := sumReasons(hour)
	c := &chart{Height: chartHeight}
	colours := coloursOf(hour)
	for _, s := range sums {
		c.Total += s.Count
		c.Legend = append(c.Legend, legend{colours[s.Reason], s.Reason.String(), meaning(s.Reason), s.Count})
	}
	for _, counts := range hour {
		c.Top = max(c.Top, sum(counts))
	}
	c.Top = roundUp(c.Top)
	for x, counts := range hour {
		begin := now.Add(time.Duration(x-len(hour)+1) * time.Minute).Truncate(time.Minute)
		c.Bars = append(c.Bars, newBar(x, counts, sums, colours, c.Top, begin))
	}
	return c
}

// newBar stacks the counts of one minute, the most frequent reason of the hour
// at the bottom.
func newBar(x int, counts map[proxy.Reason]int, sums []reasonCount, colours map[proxy.Reason]int, top int, begin time.Time) bar {
	b := bar{X: x}
	title := []string{fmt.Sprintf("%s UTC: %s refused", begin.UTC().Format("15:04"), number(sum(counts)))}
	y := float64(chartHeight)
	for _, s := range sums {
		n := counts[s.Reason]
		if n == 0 {
			continue
		}
		height := float64(chartHeight) * float64(n) / float64(top)
		y -= height
		b.Parts = append(b.Parts, part{colours[s.Reason], y, height})
		title = append(title, fmt.Sprintf("%s %s", number(n), s.Reason))
	}
	b.Title = strings.Join(title, "\n")
	return b
}

func sum(counts map[proxy.Reason]int) (total int) {
	for _, n := range counts {
		total += n
	}
	return total
}

// coloursOf gives each reason its series. Those with the highest peaks get the
// colours: what has begun a minute ago has no great sum yet, and matters most.
func coloursOf(hour []map[proxy.Reason]int) map[proxy.Reason]int {
	peaks := make(map[proxy.Reason]int)
	for _, counts := range hour {
		for reason, n := range counts {
			peaks[reason] = max(peaks[reason], n)
		}
	}
	colours := make(map[proxy.Reason]int)
	for i, peak := range ranked(peaks) {
		colours[peak.Reason] = min(i, series) + 1
	}
	return colours
}

// meaning is what a reason means, without the marks that docs/endings.md has.
func meaning(r proxy.Reason) string { return strings.ReplaceAll(r.Meaning(), "`", "") }

// roundUp returns the next of 1, 2, 3, 4, 6, 8, 10, 20, 30, 40, 60, ….
func roundUp(n int) int {
	for unit := 1; ; unit *= 10 {
		for _, step := range []int{1, 2, 3, 4, 6, 8} {
			if step*unit >= n {
				return step * unit
			}
		}
	}
}
