// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
)

// A column is a figure of several contenders.
type column struct {
	name    string
	factor  float64 // from what is measured to what the name says
	measure func(context.Context, *trial) ([]float64, error)
}

// A contender is one of those that are measured in turns.
type contender struct {
	name  string
	start func(context.Context) (*trial, error)
	found [][]float64 // by column and round
}

// inTurns measures the columns of all contenders, in as many rounds as are asked for. The figures are medians.
func (s *scaling) inTurns(ctx context.Context, title string, columns []column, contenders []*contender) (grid, error) {
	g := grid{head: []string{title}}
	for _, c := range columns {
		g.head = append(g.head, c.name)
	}
	for range s.effort.rounds {
		for _, c := range contenders {
			if err := c.measure(ctx, columns); err != nil {
				return g, err
			}
		}
	}
	for _, c := range contenders {
		row := []string{c.name}
		for _, values := range c.found {
			middle, _ := median(values)
			row = append(row, number(middle))
		}
		g.add(row...)
	}
	return g, nil
}

// measure adds a round.
func (c *contender) measure(ctx context.Context, columns []column) (err error) {
	t, err := c.start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.end()) }()
	if c.found == nil {
		c.found = make([][]float64, len(columns))
	}
	for i, column := range columns {
		values, err := column.measure(ctx, t)
		if err != nil {
			return err
		}
		c.found[i] = append(c.found[i], values[0]*column.factor)
	}
	return nil
}
