package cmd

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// column is one column of a table. Numbers and sizes stand to the right.
type column struct {
	title string
	right bool
	least int // width, whatever the cells are
}

// columns makes left-aligned columns; a title that ends in "|" stands right.
func columns(titles ...string) []column {
	cols := make([]column, len(titles))
	for i, t := range titles {
		name, right := strings.CutSuffix(t, "|")
		cols[i] = column{title: name, right: right}
	}
	return cols
}

// tableLookahead is how many rows are seen before the widths are fixed. Longer
// listings are printed as they come, so that their length costs no memory.
const tableLookahead = 1000

// tableLookaheadBytes is how much text is held for that at most.
const tableLookaheadBytes = 1 << 20

// table prints aligned columns, two blanks apart, without borders. Control
// characters in cells are shown as "?": names and annotations come from
// elsewhere and must not steer the terminal.
type table struct {
	w       io.Writer
	columns []column
	widths  []int
	held    [][]string
	size    int // bytes of held
	fixed   bool
}

func newTable(w io.Writer, cols []column) *table {
	t := &table{w: w, columns: cols, widths: make([]int, len(cols))}
	titles := make([]string, len(cols))
	for i, c := range cols {
		titles[i], t.widths[i] = c.title, c.least
	}
	t.hold(titles)
	return t
}

func (t *table) add(cells ...string) error {
	for i := range cells {
		cells[i] = printable(cells[i])
	}
	if t.fixed {
		return t.print(cells)
	}
	t.hold(cells)
	if len(t.held) > tableLookahead || t.size > tableLookaheadBytes {
		return t.printHeld()
	}
	return nil
}

func (t *table) hold(cells []string) {
	for i, c := range cells {
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(c))
		t.size += len(c)
	}
	t.held = append(t.held, cells)
}

func (t *table) printHeld() error {
	t.fixed = true
	for _, cells := range t.held {
		if err := t.print(cells); err != nil {
			return err
		}
	}
	t.held = nil
	return nil
}

func (t *table) print(cells []string) error {
	var line strings.Builder
	for i, c := range cells {
		if i > 0 {
			line.WriteString("  ")
		}
		pad := strings.Repeat(" ", max(0, t.widths[i]-utf8.RuneCountInString(c)))
		if t.columns[i].right {
			line.WriteString(pad + c)
		} else {
			line.WriteString(c + pad)
		}
	}
	_, err := io.WriteString(t.w, strings.TrimRight(line.String(), " ")+"\n")
	return err
}

func (t *table) flush() error {
	if t.fixed {
		return nil
	}
	return t.printHeld()
}

// printable replaces what would move a terminal's cursor or break a row.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || (r >= 0x7f && r < 0xa0) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}

// printFields prints names and values, aligned.
func printFields(w io.Writer, fields [][2]string) error {
	width := 0
	for _, f := range fields {
		width = max(width, utf8.RuneCountInString(f[0]))
	}
	for _, f := range fields {
		if _, err := fmt.Fprintf(w, "%-*s  %s\n", width, f[0], printable(f[1])); err != nil {
			return err
		}
	}
	return nil
}
