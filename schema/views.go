package schema

import "strings"

// View is one view of `query`.
type View struct {
	Name    string
	Doc     string // a sentence: what a row is
	Columns []ViewColumn
	// Select is the view's SELECT, which names tables as main.… and other views, which
	// come before it, as temp.….
	Select string
}

// ViewColumn is a column of a view.
type ViewColumn struct {
	Name string
	Doc  string // what it says, without a full stop
}

// ViewsSQL returns the statements that make the views on a connection to a catalog.
func ViewsSQL() string {
	sql, err := files.ReadFile("views.sql")
	if err != nil {
		panic(err) // embedded: it is there or the binary was not built
	}
	return string(sql)
}

// Views are the views one by one, with what views.sql says of them.
func Views() (views []View) {
	for paragraph := range strings.SplitSeq(ViewsSQL(), "\n\n") {
		if v := parseView(paragraph); v.Name != "" {
			views = append(views, v)
		}
	}
	return views
}

// parseView reads a comment and the statement below it; what makes no view has no
// name.
func parseView(paragraph string) (v View) {
	comment, statement, _ := strings.Cut(paragraph, "CREATE TEMP VIEW ")
	v.Name, v.Select, _ = strings.Cut(strings.TrimSuffix(strings.TrimSpace(statement), ";"), " AS\n")
	for line := range strings.Lines(comment) {
		text := strings.TrimSuffix(strings.TrimPrefix(line, "-- "), "\n")
		column, ok := strings.CutPrefix(text, "  ")
		if !ok {
			v.Doc = strings.TrimSpace(v.Doc + " " + text)
			continue
		}
		name, doc, _ := strings.Cut(column, " ")
		v.Columns = append(v.Columns, ViewColumn{name, strings.TrimSpace(doc)})
	}
	return v
}
