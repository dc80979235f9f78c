package db

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/schema"
)

// ask runs a query and reads all of its answer.
func ask(ctx context.Context, d *DB, text string, limit int) (columns []string, rows [][]any, more bool, err error) {
	r, err := d.Query(ctx, text, QueryOptions{Limit: limit})
	if err != nil {
		return nil, nil, false, err
	}
	defer r.Close()
	for row, err := range r.All() {
		if err != nil {
			return r.Columns, rows, false, err
		}
		rows = append(rows, row)
	}
	return r.Columns, rows, r.More(), nil
}

// asked is a catalog with something in it.
func asked(tb testing.TB) *graph {
	g := newGraph(tb)
	g.held(1, 2, 3)
	g.edge(1, 2, 2, "")
	g.edge(1, 3, 1, "")
	g.name("example.com/a:1", 1)
	g.lease("l", LeaseUser, 1)
	return g
}

func TestQueryAnswers(t *testing.T) {
	g := asked(t)
	for query, want := range map[string]struct {
		columns []string
		rows    [][]any
	}{
		"SELECT name, digest FROM images":                                                           {[]string{"name", "digest"}, [][]any{{"example.com/a:1", digest(1).String()}}},
		"select count(*) from content;":                                                             {[]string{"count(*)"}, [][]any{{int64(3)}}},
		"SELECT 1 AS a, 1.5 AS a, NULL, 'x', x'00ff' ;; -- end":                                     {[]string{"a", "a", "NULL", "'x'", "x'00ff'"}, [][]any{{int64(1), 1.5, nil, "x", []byte{0, 255}}}},
		"VALUES (1), (2)":                                                                           {[]string{"column1"}, [][]any{{int64(1)}, {int64(2)}}},
		"SELECT role FROM images JOIN edges ON parent = digest ORDER BY role":                       {[]string{"role"}, [][]any{{"layer"}, {"manifest"}}},
		"WITH c AS (SELECT * FROM temp.content) SELECT count(*) FROM c":                             {[]string{"count(*)"}, [][]any{{int64(3)}}},
		"WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n WHERE x < 3) SELECT x FROM n": {[]string{"x"}, [][]any{{int64(1)}, {int64(2)}, {int64(3)}}},
		"SELECT value FROM json_each('[1,\"b\"]')":                                                  {[]string{"value"}, [][]any{{int64(1)}, {"b"}}},
		"SELECT objects FROM leases WHERE EXISTS (SELECT 1 FROM content)":                           {[]string{"objects"}, [][]any{{int64(1)}}},
		"SELECT 1 FROM images, leases":                                                              {[]string{"1"}, [][]any{{int64(1)}}},
		"SELECT \"name\" FROM [images] WHERE `name` LIKE 'EXAMPLE%'":                                {[]string{"name"}, [][]any{{"example.com/a:1"}}},
		"SELECT name, row_number() OVER (ORDER BY name) AS n FROM images":                           {[]string{"name", "n"}, [][]any{{"example.com/a:1", int64(1)}}},
		"SELECT '' AS e, zeroblob(0) AS z":                                                          {[]string{"e", "z"}, [][]any{{"", []byte{}}}},
	} {
		columns, rows, _, err := ask(context.Background(), g.d, query, 0)
		if err != nil || !reflect.DeepEqual(columns, want.columns) || !reflect.DeepEqual(rows, want.rows) {
			t.Errorf("%s:\n%q %v %v\nwant %q %v", query, columns, rows, err, want.columns, want.rows)
		}
	}
	if _, rows, _, err := ask(context.Background(), g.d, "EXPLAIN QUERY PLAN SELECT * FROM images", 0); err != nil || len(rows) == 0 {
		t.Errorf("the plan of a query: %v, %v", rows, err)
	}
}

// attacks are queries that are to be refused.
var attacks = []string{
	"", " ", "-- nothing", ";", "/* */;",
	"SELECT * FROM main.objects", "SELECT * FROM objects", "SELECT count(*) FROM objects", "SELECT 1 FROM refs", "SELECT rowid FROM meta",
	"SELECT count(*) FROM main.objects", "SELECT (SELECT v FROM meta LIMIT 1)", "SELECT * FROM [objects]", "SELECT * FROM \"OBJECTS\"", "SELECT * FROM `meta`",
	"SELECT * FROM main.edges", "SELECT * FROM temp.objects", "SELECT parent FROM main.edges",
	"WITH content AS (SELECT * FROM objects) SELECT * FROM content", "WITH images AS (SELECT v FROM meta) SELECT v FROM images", "WITH x AS (SELECT count(*) FROM meta) SELECT * FROM x",
	"SELECT * FROM (SELECT * FROM objects) AS content", "SELECT o.id FROM content JOIN objects AS o ON o.id = content.id",
	"SELECT * FROM content WHERE id IN (SELECT id FROM objects)", "SELECT * FROM content WHERE id IN objects", "SELECT * FROM content NATURAL JOIN objects",
	"SELECT * FROM sqlite_master", "SELECT * FROM sqlite_schema", "SELECT * FROM temp.sqlite_master", "SELECT count(*) FROM sqlite_temp_master", "SELECT * FROM sqlite_temp_schema",
	"SELECT * FROM main.sqlite_master", "SELECT * FROM sqlite_sequence", "SELECT count(*) FROM sqlite_stat1",
	"SELECT * FROM pragma_database_list", "SELECT count(*) FROM pragma_database_list", "SELECT * FROM pragma_table_list", "SELECT * FROM pragma_table_info('objects')",
	"SELECT * FROM main.pragma_database_list", "SELECT * FROM pragma_function_list", "SELECT count(*) FROM pragma_user_version", "SELECT * FROM pragma_journal_mode",
	"SELECT * FROM dbstat", "SELECT count(*) FROM dbstat", "SELECT * FROM sqlite_dbpage", "SELECT count(*) FROM sqlite_dbpage", "SELECT * FROM fts5vocab", "SELECT * FROM bytecode('SELECT 1')",
	"PRAGMA database_list", "PRAGMA query_only = 0", "PRAGMA main.user_version = 99", "PRAGMA journal_mode = DELETE", "PRAGMA writable_schema = 1", "PRAGMA temp_store_directory = '/'",
	"ATTACH ':memory:' AS x", "ATTACH 'attacked.db' AS x", "DETACH main", "VACUUM", "VACUUM INTO 'attacked.db'", "REINDEX", "ANALYZE",
	"BEGIN", "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK", "SAVEPOINT a", "RELEASE a",
	"DELETE FROM objects", "DELETE FROM content", "UPDATE refs SET name = 'x'", "INSERT INTO meta VALUES ('a', 1)", "INSERT INTO meta VALUES ('a', 1) RETURNING k", "REPLACE INTO meta VALUES ('a', 1)",
	"WITH x AS (SELECT 1) DELETE FROM refs", "CREATE TABLE t (a)", "CREATE TEMP TABLE t (a)", "CREATE TEMP VIEW content2 AS SELECT * FROM objects", "CREATE VIRTUAL TABLE t USING fts5(a)",
	"DROP VIEW content", "DROP TABLE objects", "DROP VIEW temp.content", "ALTER TABLE refs RENAME TO r", "CREATE TRIGGER t AFTER INSERT ON refs BEGIN SELECT 1; END", "CREATE INDEX i ON refs(name)",
	"SELECT 1; SELECT 2", "SELECT 1; DELETE FROM refs", "SELECT 1;;ATTACH 'attacked.db' AS x", "SELECT 1; bogus", "SELECT 1 /* ; */ ; -- x\n SELECT 2", "SELECT 1); DELETE FROM refs; SELECT (1",
	"SELECT 1\x00; DELETE FROM refs", "\x00", "SELECT 'a\x00b'",
	"EXPLAIN SELECT * FROM content", "EXPLAIN DELETE FROM refs", "EXPLAIN QUERY PLAN DELETE FROM refs", "EXPLAIN QUERY PLAN SELECT * FROM objects", "EXPLAIN VACUUM", "EXPLAIN PRAGMA user_version",
	"SELECT load_extension('x')", "SELECT readfile('/etc/passwd')", "SELECT writefile('attacked.db', 'x')", "SELECT edit('x')", "SELECT fts5(1)", "SELECT rtreecheck('objects')",
	"SELECT sqlite_version()", "SELECT sqlite_source_id()", "SELECT sqlite_log(1, 'x')", "SELECT sqlite_offset(id) FROM content", "SELECT changes()", "SELECT last_insert_rowid()",
	"SELECT ?1", "SELECT :a", "SELECT $a", "SELECT \"nosuch\"", "SELECT nosuch FROM content", "SELEC 1", "SELECT", "SELECT * FROM", "SELECT * FROM nosuch", "SELECT * FROM nosuch.content", "SELECT * FROM other.objects",
	"SELECT hex(randomblob(1000000))", "SELECT length(zeroblob(2000000000))", "SELECT printf('%2000000000d', 1)", "SELECT replace(hex(zeroblob(100000)), '0', hex(zeroblob(100)))",
	"SELECT " + strings.Repeat("hex(zeroblob(300000)),", 3) + "1",
	"SELECT json('[')", "SELECT abs(-9223372036854775808)", "SELECT 1 UNION SELECT 1, 2", "SELECT json_extract('{}', 'nonsense')",
	"WITH RECURSIVE c(x, t) AS (SELECT 1, 'aaaaaaaaaaaaaaaa' UNION ALL SELECT x+1, t||t FROM c) SELECT max(x) FROM c", "SELECT group_concat(hex(zeroblob(100000))) FROM content a, content b, content c",
	"SELECT json_group_array(hex(zeroblob(100000))) FROM content a, content b, content c", "SELECT jsonb_group_object(a.digest, hex(zeroblob(100000))) FROM content a, content b",
	strings.Repeat("(", 5000), "SELECT " + strings.Repeat("1+", 5000) + "1", "SELECT " + strings.Repeat("1,", 5000) + "1", strings.Repeat("SELECT 1 UNION ALL ", 500) + "SELECT 1", "SELECT '" + strings.Repeat("x", maxQueryText) + "'",
}

// nested is a query whose WITHs double what SQLite compiles, each for itself.
func nested(n int, quote func(string) string, as string) string {
	parts := []string{quote("c0") + as + "(SELECT 1 AS x)"}
	for i := 1; i < n; i++ {
		was := quote(fmt.Sprintf("c%d", i-1))
		parts = append(parts, fmt.Sprintf("%s%s(SELECT p.x FROM %s p, %s q)", quote(fmt.Sprintf("c%d", i)), as, was, was))
	}
	return "WITH " + strings.Join(parts, ", ") + " SELECT * FROM " + quote(fmt.Sprintf("c%d", n-1))
}

func TestQueryExpansion(t *testing.T) {
	plain := func(s string) string { return s }
	for text, want := range map[string]bool{
		nested(30, plain, " AS "):                                                                       false,
		nested(30, plain, "(x) AS NOT MATERIALIZED "):                                                   false,
		nested(30, plain, " /* ( */ as -- x\n materialized "):                                           false,
		nested(30, func(s string) string { return `"` + s + `"` }, " AS "):                              false,
		nested(30, func(s string) string { return "[" + s + "]" }, " AS "):                              false,
		nested(30, func(s string) string { return "`" + strings.ToUpper(s) + "`" }, " AS "):             false,
		nested(10, plain, " AS "):                                                                       true,
		strings.ReplaceAll(nested(30, plain, " AS "), "c7", `"as"`):                                     false,
		strings.Repeat("WITH a AS (", 30) + "SELECT 1" + strings.Repeat(") SELECT 1 FROM a p, a q", 30): false,
		"SELECT ') AS (', x AS y FROM images":                                                           true,
	} {
		if got := expansion(text) <= maxExpansion; got != want {
			t.Errorf("%.80s: may be compiled: %v", text, got)
		}
	}
}

func TestQueryRefusesAllButViews(t *testing.T) {
	g := asked(t)
	attacks := append(slices.Clone(attacks), nested(40, func(s string) string { return s }, " AS "))
	t.Chdir(t.TempDir())
	before := fingerprint(t, g.d)
	for _, attack := range attacks {
		_, rows, _, err := ask(context.Background(), g.d, attack, 0)
		if !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%.100q: %.200v, %v: want ErrInvalid", attack, rows, err)
		}
	}
	if after := fingerprint(t, g.d); after != before {
		t.Errorf("the catalog was changed:\n%s\n%s", before, after)
	}
	if files, _ := os.ReadDir("."); len(files) > 0 {
		t.Errorf("files were made: %v", files)
	}
}

// fingerprint tells states of a catalog apart.
func fingerprint(tb testing.TB, d *DB) (all string) {
	tb.Helper()
	check(tb, d.Read(context.Background(), func(tx *Tx) error {
		for _, query := range []string{
			"SELECT group_concat(name || ifnull(sql, ''), x'0a') FROM (SELECT * FROM sqlite_schema ORDER BY name)",
			"SELECT group_concat(k || v) FROM meta", "SELECT group_concat(name || object) FROM refs", "SELECT generation || '.' || epoch FROM head",
			"SELECT user_version FROM pragma_user_version", "SELECT journal_mode FROM pragma_journal_mode",
		} {
			var s *string
			if _, err := tx.get(query, nil, &s); err != nil {
				return err
			}
			if s != nil {
				all += *s + "\n"
			}
		}
		return nil
	}))
	return all
}

var errTooLong = errors.New("too long")

func TestQueryEndsWithItsContext(t *testing.T) {
	g := asked(t)
	for _, query := range []string{
		"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT max(x) FROM c",
		"WITH RECURSIVE c(x) AS (SELECT 1 UNION SELECT x+1 FROM c) SELECT count(*) FROM c",
		"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c",
		"WITH t(x) AS (VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(10)) SELECT count(*) FROM t a,t b,t c,t d,t e,t f,t g,t h,t i,t j,t k,t l",
		// One step of SQLite, which nothing interrupts.
		"SELECT instr(hex(zeroblob(60000)), hex(zeroblob(30000)) || '1')",
	} {
		ctx, cancel := context.WithTimeoutCause(context.Background(), 50*time.Millisecond, errTooLong)
		if _, _, _, err := ask(ctx, g.d, query, 0); !errors.Is(err, errTooLong) {
			t.Errorf("%s: %v", query, err)
		}
		cancel()
	}
}

func TestQueryEndsAfterItsTime(t *testing.T) {
	g := asked(t)
	r, err := g.d.Query(context.Background(), "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c", QueryOptions{Timeout: time.Second / 2})
	check(t, err)
	defer r.Close()
	for _, err = range r.All() {
		if err != nil {
			break
		}
	}
	if !errors.Is(err, content.ErrUnavailable) {
		t.Error(err)
	}
}

func TestQueryStopsAtTheLimit(t *testing.T) {
	g := asked(t)
	for limit, want := range map[int]struct {
		rows int
		more bool
	}{0: {3, false}, 1: {1, true}, 2: {2, true}, 3: {3, false}, 4: {3, false}} {
		_, rows, more, err := ask(context.Background(), g.d, "SELECT digest FROM content", limit)
		if err != nil || len(rows) != want.rows || more != want.more {
			t.Errorf("limit %d: %d rows, more: %v, %v", limit, len(rows), more, err)
		}
	}
}

func TestQueryReadsBesideAWriter(t *testing.T) {
	g := asked(t)
	r, err := g.d.Query(context.Background(), "SELECT name FROM images", QueryOptions{})
	check(t, err)
	defer r.Close()
	g.name("example.com/b:1", 2)
	n := 0
	for _, err := range r.All() {
		check(t, err)
		n++
	}
	if n < 1 || n > 2 {
		t.Errorf("%d names", n)
	}
	_, rows, _, err := ask(context.Background(), g.d, "SELECT name FROM images", 0)
	if err != nil || len(rows) != 2 {
		t.Errorf("after a write: %v, %v", rows, err)
	}
}

func TestQueryOfACatalogOpenForReading(t *testing.T) {
	g := asked(t)
	d := openDB(t, g.d.Dir(), Options{ReadOnly: true})
	_, rows, _, err := ask(context.Background(), d, "SELECT name FROM images", 0)
	if err != nil || len(rows) != 1 {
		t.Errorf("%v, %v", rows, err)
	}
}

// TestViewsAreDocumented: what views.sql says of columns is what the views have.
func TestViewsAreDocumented(t *testing.T) {
	g := asked(t)
	views := schema.Views()
	if len(views) != strings.Count(schema.ViewsSQL(), "CREATE TEMP VIEW ") {
		t.Errorf("%d views of views.sql were found", len(views))
	}
	for _, v := range views {
		var columns []string
		for _, c := range v.Columns {
			columns = append(columns, c.Name)
			if c.Doc == "" {
				t.Errorf("%s.%s: nothing is said of it", v.Name, c.Name)
			}
		}
		got, _, _, err := ask(context.Background(), g.d, fmt.Sprintf("SELECT * FROM %s", v.Name), 0)
		if err != nil || !reflect.DeepEqual(got, columns) {
			t.Errorf("view %s has %q, %v; views.sql says %q", v.Name, got, err, columns)
		}
	}
}

// FuzzQuery: whatever is asked for, nothing is written, and what was read is none of
// the tables.
func FuzzQuery(f *testing.F) {
	for _, attack := range attacks {
		if len(attack) < 1000 {
			f.Add(attack)
		}
	}
	f.Add("SELECT * FROM content JOIN images USING (digest)")
	g := asked(f)
	write(f, g.d, func(tx *Tx) error { return tx.SetMeta("secret", "hidden from everybody") })
	before := fingerprint(f, g.d)
	f.Fuzz(func(t *testing.T, text string) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, rows, _, _ := ask(ctx, g.d, text, 100)
		if strings.Contains(fmt.Sprint(rows), "hidden from everybody") {
			t.Errorf("%q reads a table: %v", text, rows)
		}
		if after := fingerprint(t, g.d); after != before {
			t.Fatalf("%q changed the catalog", text)
		}
	})
}

// TestQueryOutlivesItsCatalog: what was left behind ends without its catalog.
func TestQueryOutlivesItsCatalog(t *testing.T) {
	g := asked(t)
	d := openDB(t, g.d.Dir(), Options{ReadOnly: true})
	for range 20 {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, _ = d.Query(ctx, "SELECT 1", QueryOptions{})
	}
	check(t, d.Close())
}

func TestQueryPlanHidesNames(t *testing.T) {
	g := asked(t)
	_, rows, _, err := ask(context.Background(), g.d, "EXPLAIN QUERY PLAN SELECT * FROM images JOIN content USING (digest)", 0)
	check(t, err)
	if text := fmt.Sprint(rows); regexp.MustCompile(`\bk[a-z2-7]{26}`).MatchString(text) {
		t.Error(text)
	}
}

// A catalog that cannot be opened is an error of the query.
func TestQueryOfACatalogThatIsGone(t *testing.T) {
	_, err := openSandbox(context.Background(), "file:"+filepath.Join(t.TempDir(), "nosuch.db")+"?mode=ro")
	if err == nil {
		t.Fatalf("it is %v", err)
	}
}
