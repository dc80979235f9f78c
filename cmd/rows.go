package cmd

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"

	"dist.example/client"
)

func queryBounds(c *queryCmd) client.QueryOptions {
	return client.QueryOptions{Limit: c.Limit, Timeout: time.Duration(c.Timeout)}
}

// peek reads the first row ahead, nil where there is none, and gives all rows back.
func peek(rows iter.Seq2[[]any, error]) (first []any, all iter.Seq2[[]any, error], stop func()) {
	next, stop := iter.Pull2(rows)
	first, err, ok := next()
	return first, func(yield func([]any, error) bool) {
		for row, err, ok := first, err, ok; ok; row, err, ok = next() {
			if !yield(row, err) {
				return
			}
		}
	}, stop
}

// rowColumns are the columns of a table; where the first row has a number, they
// stand to the right.
func rowColumns(names []string, first []any) []column {
	cols := make([]column, len(names))
	for i, name := range names {
		cols[i].title = printable(name)
		if i < len(first) {
			switch first[i].(type) {
			case int64, float64:
				cols[i].right = true
			}
		}
	}
	return cols
}

// rowCells are the cells of a table.
func rowCells(row []any) []string {
	cells := make([]string, len(row))
	for i, v := range row {
		cells[i] = "-"
		if v != nil {
			cells[i] = valueText(v)
		}
	}
	return cells
}

// valueText is a value of a query in words: bytes in hexadecimal, NULL as nothing.
func valueText(v any) string {
	switch v := v.(type) {
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return realText(v)
	case []byte:
		return hex.EncodeToString(v)
	case string:
		return v
	}
	return ""
}

// realText is a number that is no integer, also where its value is one, as in SQLite.
func realText(f float64) string {
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if !math.IsInf(f, 0) && !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text
}

// rowKeys are the names of columns as keys of an object in JSON: each once, and none
// of them that of the document's version.
func rowKeys(names []string) []string {
	keys, taken := make([]string, len(names)), map[string]bool{"version": true}
	for i, name := range names {
		keys[i] = name
		for n := 2; taken[keys[i]]; n++ {
			keys[i] = fmt.Sprintf("%s_%d", name, n)
		}
		taken[keys[i]] = true
	}
	return keys
}

// answerJSON is a row in JSON: an object with its columns in order.
type answerJSON struct {
	keys []string
	row  []any
}

// MarshalJSON writes numbers as numbers, but for infinite ones, and bytes in
// hexadecimal.
func (r answerJSON) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, v := range r.row {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := writeJSON(&b, r.keys[i]); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		switch v := v.(type) {
		case nil:
			b.WriteString("null")
			continue
		case int64:
			b.WriteString(strconv.FormatInt(v, 10))
			continue
		case float64:
			if !math.IsInf(v, 0) {
				b.WriteString(realText(v))
				continue
			}
		}
		if err := writeJSON(&b, valueText(v)); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// writeJSON writes a string, with an escape for every control character: terminals
// know some above ASCII, which JSON leaves as they are.
func writeJSON(b *bytes.Buffer, text string) error {
	p, err := marshal(text)
	if err != nil {
		return err
	}
	for _, r := range string(p) {
		if r >= 0x7f && r < 0xa0 {
			fmt.Fprintf(b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return nil
}

// printCSV prints rows as RFC 4180 has it. NULL is nothing, the empty text is "".
func printCSV(out io.Writer, names []string, rows iter.Seq2[[]any, error]) (err error) {
	w := bufio.NewWriterSize(out, 64<<10)
	defer func() {
		if ferr := w.Flush(); err == nil {
			err = ferr
		}
	}()
	show := func(text string) string { return text }
	if isTerminal(out) {
		show = printable
	}
	head := make([]any, len(names))
	for i, name := range names {
		head[i] = name
	}
	if err := writeCSV(w, head, show); err != nil {
		return err
	}
	for row, err := range rows {
		if err == nil {
			err = writeCSV(w, row, show)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func writeCSV(w *bufio.Writer, row []any, show func(string) string) error {
	for i, v := range row {
		if i > 0 {
			w.WriteByte(',')
		}
		text := show(valueText(v))
		if s, ok := v.(string); ok && (s == "" || strings.ContainsAny(s, ",\"\r\n") || strings.TrimSpace(s) != s) {
			text = `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
		}
		w.WriteString(text)
	}
	if len(row) == 1 && row[0] == nil {
		w.WriteString(`""`) // most readers skip an empty line
	}
	_, err := w.WriteString("\r\n")
	return err
}
