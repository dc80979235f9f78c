package cmd

import (
	"bufio"
	"fmt"
	"io"
	"iter"

	"dist.example/schema"
)

// maxSQL is a little more than a query may have, so that a longer one is refused.
const maxSQL = 64<<10 + 1

// queryCmd is `dist query`.
type queryCmd struct {
	quietFlag `set:"ids=values of the first column"`
	CSV       bool   `name:"csv" help:"Print comma-separated values (RFC 4180), with the names of the columns first."`
	Limit     int    `short:"n" placeholder:"N" default:"10000" help:"At most so many rows, 0 for all (${default} by default). Where there are more, stderr says so."`
	Timeout   span   `placeholder:"TIME" default:"30s" help:"How long it may take, 0 for as long as it takes (${default} by default)."`
	Views     bool   `help:"List what can be asked about: views, and their columns. So does no SQL at all."`
	SQL       string `arg:"" optional:"" name:"sql" complete:"none" help:"One SELECT, in SQLite's words; - reads it from stdin."`
}

// Help is the longer text of `dist query --help`.
func (queryCmd) Help() string {
	return `The query is one SELECT (or WITH … SELECT, VALUES, EXPLAIN QUERY PLAN) over the views that --views lists. Nothing else is answered: no other statement, no table of the catalog, no function that reaches out of the query. The store is never changed, a store that can only be read will do, and writers are not held up.

Digests are text (sha256:…), times are text in UTC (2006-01-02 15:04:05), sizes are bytes. In a table NULL is "-"; bytes are in hexadecimal. In JSON each row is an object; a column whose name was there before, or is "version", gets a number: name_2. Of a value with control characters, a terminal is shown "?".

A value has at most 1 MiB, and so have the values of a row together, where that is put together for a sort or a group; the text has at most 64 KiB. Large sorts and the like use temporary files.

Examples:

    $ dist query
    $ dist query 'SELECT name, digest FROM images ORDER BY updated DESC'
    $ dist query 'SELECT media_type, count(*) AS n, sum(size) AS bytes FROM content GROUP BY 1 ORDER BY 3 DESC'
    $ dist query -q 'SELECT digest FROM content WHERE size > 1e6' | xargs -r dist why
    $ dist query --csv 'SELECT * FROM history' > history.csv
    $ dist query --format jsonl --limit 0 - < report.sql`
}

// Run answers the query.
func (c *queryCmd) Run(s *session) error {
	views := c.Views || c.SQL == ""
	switch {
	case c.CSV && (c.Quiet || s.format().structured()):
		return usagef("--csv, -q and --format exclude each other")
	case c.Views && c.SQL != "":
		return usagef("--views lists the views: it takes no query")
	case c.CSV && views:
		return usagef("--csv is for the rows of a query")
	}
	if c.Limit < 0 {
		return usagef("--limit %d: want 0 or more", c.Limit)
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	if views {
		return c.printViews(s, dist.Views())
	}
	text, err := c.text(s)
	if err != nil {
		return err
	}
	rows, err := dist.Query(s.ctx, text, queryBounds(c))
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := c.print(s, rows.Columns, rows.All()); err != nil {
		return err
	}
	if rows.More() {
		s.warn(fmt.Sprintf("there are more rows than %d: see --limit", c.Limit))
	}
	return nil
}

// text is the SQL.
func (c *queryCmd) text(s *session) (string, error) {
	if c.SQL != "-" {
		return c.SQL, nil
	}
	text, err := io.ReadAll(io.LimitReader(s.stdin, maxSQL))
	return string(text), err
}

func (c *queryCmd) print(s *session, names []string, rows iter.Seq2[[]any, error]) error {
	if c.CSV {
		return printCSV(s.stdout, names, rows)
	}
	keys := rowKeys(names)
	first, rows, stop := peek(rows)
	defer stop()
	return printList(s.stdout, s.format(), c.Quiet, listing[[]any]{
		key:     "rows",
		columns: rowColumns(names, first),
		row:     rowCells,
		id:      func(row []any) string { return printable(valueText(row[0])) },
		object:  func(row []any) any { return answerJSON{keys, row} },
	}, rows)
}

// printViews prints each view with its columns.
func (c *queryCmd) printViews(s *session, views []schema.View) error {
	if c.Quiet || s.format().structured() {
		return printList(s.stdout, s.format(), c.Quiet, listing[schema.View]{
			key:    "views",
			id:     func(v schema.View) string { return v.Name },
			object: func(v schema.View) any { return newViewJSON(v) },
		}, each(views))
	}
	w := bufio.NewWriter(s.stdout)
	for i, v := range views {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s: %s\n", v.Name, v.Doc)
		fields := make([][2]string, len(v.Columns))
		for i, c := range v.Columns {
			fields[i] = [2]string{"  " + c.Name, c.Doc}
		}
		if err := printFields(w, fields); err != nil {
			return err
		}
	}
	return w.Flush()
}

type viewJSON struct {
	Name    string           `json:"name"`
	Doc     string           `json:"doc"`
	Columns []viewColumnJSON `json:"columns"`
}

type viewColumnJSON struct {
	Name string `json:"name"`
	Doc  string `json:"doc"`
}

func newViewJSON(v schema.View) viewJSON {
	j := viewJSON{v.Name, v.Doc, []viewColumnJSON{}}
	for _, c := range v.Columns {
		j.Columns = append(j.Columns, viewColumnJSON(c))
	}
	return j
}
