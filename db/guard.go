package db

import (
	"context"
	"fmt"
	"strings"

	sqlitelib "modernc.org/sqlite/lib"

	"dist.example/content"
	"dist.example/schema"
)

// hintViews is what to do about a query that asks for something else than views.
const hintViews = "\"dist query --views\" lists the views and their columns"

// guard decides what a query may do, and remembers what it was refused for.
type guard struct {
	ctx     context.Context
	key     string          // name of the catalog, and what names of the views that read it begin with
	views   map[string]bool // that a query may name
	hidden  map[string]bool // tables and modules, which it may not
	selects bool            // a SELECT was seen
	refused string          // the first thing that was
}

func newGuard(ctx context.Context, key string) *guard {
	g := &guard{ctx: ctx, key: key, views: map[string]bool{}, hidden: map[string]bool{}}
	for _, v := range schema.Views() {
		g.views[v.Name] = true
	}
	return g
}

// allows says whether a statement may do what SQLite asks about, and keeps what it
// may not.
func (g *guard) allows(action int32, a, b, database, view string) bool {
	switch action {
	case sqlitelib.SQLITE_SELECT:
		g.selects = true
		return true
	case sqlitelib.SQLITE_RECURSIVE:
		return true
	case sqlitelib.SQLITE_FUNCTION:
		return queryFunctions[strings.ToLower(b)] || g.refuse("the function %s", b)
	case sqlitelib.SQLITE_READ:
		return g.reads(strings.ToLower(a), b, database, view) || g.refuse("%s, which is no view", a)
	}
	return g.refuse("anything but SELECT")
}

// reads judges that a statement reads column of table in database, from within view.
// Where no column is read of a table at all, SQLite asks once more, for column "",
// then with the database as the text of the statement has it, or "".
func (g *guard) reads(table, column, database, view string) bool {
	switch {
	case database == g.key:
		// view is what a WITH calls itself, too: one that cannot be guessed is ours.
		return column == "" || strings.HasPrefix(view, g.key)
	case g.views[table] || strings.HasPrefix(table, g.key):
		return database == "temp" || database == ""
	case table == "json_each" || table == "json_tree":
		return database == "main" || database == ""
	}
	// What is left that can be meant is a WITH of the query.
	return column == "" && database == "" && !g.hidden[table] && !strings.HasPrefix(table, "sqlite_") && !strings.HasPrefix(table, "pragma_")
}

func (g *guard) refuse(format string, args ...any) bool {
	if g.refused == "" {
		g.refused = fmt.Sprintf(format, args...)
	}
	return false
}

// judge gives what SQLite says its class. Most of it is about the query.
func (g *guard) judge(code int, message string) error {
	primary := code & 0xff
	class, known := classOf(code)
	switch {
	case g.refused != "":
		return errRefused("it asks for %s", g.refused)
	case primary == sqlitelib.SQLITE_INTERRUPT && g.ctx.Err() != nil:
		return context.Cause(g.ctx)
	case primary == sqlitelib.SQLITE_TOOBIG:
		return fmt.Errorf("query: %w: a value or row of more than %d MiB", content.ErrInvalid, maxQueryValue>>20)
	case primary == sqlitelib.SQLITE_NOMEM:
		return errNoMemory
	case primary == sqlitelib.SQLITE_ERROR, primary == sqlitelib.SQLITE_MISMATCH, primary == sqlitelib.SQLITE_RANGE, primary == sqlitelib.SQLITE_AUTH:
		return content.WithHint(fmt.Errorf("query: %w: %s", content.ErrInvalid, g.unnamed(message)), hintViews)
	case known && class == content.ErrCorrupt:
		return errDamaged(fmt.Errorf("SQLite: %s", g.unnamed(message)))
	case known:
		return fmt.Errorf("catalog: %w: %s", class, g.unnamed(message))
	}
	return fmt.Errorf("query: %s (SQLite's code %d)", g.unnamed(message), code)
}

// unnamed is text of SQLite's without the names that no query is to know.
func (g *guard) unnamed(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, g.key+".", ""), g.key+"_", "")
}

func errRefused(format string, args ...any) error {
	return content.WithHint(fmt.Errorf("query: %w: a query is one SELECT over the documented views; %s", content.ErrInvalid, fmt.Sprintf(format, args...)), hintViews)
}

// queryFunctions are what a query may call: functions of its arguments alone, the
// time, and chance. Those that are not here read or change something else, or are
// for tables that are not there; or, as json_group_array, gather what no limit bounds.
var queryFunctions = functionSet(`
	abs char coalesce concat concat_ws format glob hex if ifnull iif instr length like likelihood likely lower ltrim max
	min nullif octet_length printf quote random randomblob replace round rtrim sign soundex substr substring trim typeof
	unhex unicode unistr unistr_quote unlikely upper zeroblob
	avg count group_concat string_agg sum total
	cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number
	date datetime julianday strftime time timediff unixepoch current_date current_time current_timestamp
	acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10 log2 mod pi pow power
	radians sin sinh sqrt tan tanh trunc
	json json_array json_array_insert json_array_length json_error_position json_extract json_insert json_object json_patch
	json_pretty json_quote json_remove json_replace json_set json_type json_valid
	jsonb jsonb_array jsonb_array_insert jsonb_extract jsonb_insert jsonb_object jsonb_patch jsonb_remove jsonb_replace jsonb_set
	-> ->>`)

func functionSet(names string) map[string]bool {
	set := map[string]bool{}
	for name := range strings.FieldsSeq(names) {
		set[name] = true
	}
	return set
}
