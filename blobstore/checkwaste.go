package blobstore

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
)

// wasted counts garbage of a kind.
func (c *checker) wasted(kind string, count, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.waste[kind]
	if w == nil {
		w = &Waste{Kind: kind}
		c.waste[kind] = w
	}
	w.Count += count
	w.Bytes += bytes
}

// garbage counts what nothing points to. Some of it may be another process's work
// under way.
func (c *checker) garbage(ctx context.Context) error {
	rows, err := c.packRows(ctx)
	if err != nil {
		return err
	}
	for _, p := range rows {
		if p.Dead > 0 {
			c.wasted("dead bytes in packs", 0, p.Dead)
		}
		for _, g := range c.gaps[p.ID] {
			c.wasted("damaged stretches of packs", 1, g.to-g.from)
		}
	}
	for g, err := range c.s.Garbage(ctx) {
		if err != nil {
			return err
		}
		c.wasted(string(g.Kind), 1, g.Bytes)
	}
	for _, w := range c.waste {
		c.report.Waste = append(c.report.Waste, *w)
	}
	slices.SortFunc(c.report.Waste, func(a, b Waste) int { return cmp.Compare(a.Kind, b.Kind) })
	return nil
}

// packID is the id in a pack's file name, false where it is none.
func packID(name string) (int64, bool) {
	number, ok := strings.CutSuffix(name, ".pack")
	id, err := strconv.ParseInt(number, 10, 64)
	return id, ok && err == nil && id > 0 && strconv.FormatInt(id, 10) == number
}
