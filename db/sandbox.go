package db

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	"modernc.org/libc"
	sqlitelib "modernc.org/sqlite/lib"

	"dist.example/content"
	"dist.example/schema"
)

// Bounds of what one query may ask for. They bound memory: a value, a row, a
// statement and the program that it is compiled to. Sorting and what has to be
// remembered beyond a page cache goes to temporary files, which end with the query.
const (
	maxQueryText  = 64 << 10 // bytes of SQL
	maxQueryValue = 1 << 20  // bytes of a value and of a row
)

// queryLimits are SQLite's own limits on the connection of a query.
var queryLimits = map[int32]int32{
	sqlitelib.SQLITE_LIMIT_LENGTH:              maxQueryValue,
	sqlitelib.SQLITE_LIMIT_SQL_LENGTH:          maxQueryText,
	sqlitelib.SQLITE_LIMIT_COLUMN:              200,
	sqlitelib.SQLITE_LIMIT_EXPR_DEPTH:          200,
	sqlitelib.SQLITE_LIMIT_COMPOUND_SELECT:     50,
	sqlitelib.SQLITE_LIMIT_VDBE_OP:             100_000,
	sqlitelib.SQLITE_LIMIT_FUNCTION_ARG:        100,
	sqlitelib.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
	sqlitelib.SQLITE_LIMIT_ATTACHED:            0,
	sqlitelib.SQLITE_LIMIT_VARIABLE_NUMBER:     0,
	sqlitelib.SQLITE_LIMIT_TRIGGER_DEPTH:       1,
	sqlitelib.SQLITE_LIMIT_WORKER_THREADS:      0,
}

// progressOps is after how many of its steps SQLite asks whether to go on.
const progressOps = 1000

// sandbox is a connection of its own for one query, which comes from a person or a
// program that may ask for anything. It is SQLite's C interface, since database/sql
// reaches neither its authorizer nor the end of a statement. The package's doc says
// how it holds. It is for one goroutine.
type sandbox struct {
	tls   *libc.TLS
	db    uintptr
	guard *guard
	pin   runtime.Pinner // of guard, whose address SQLite keeps
}

// openSandbox opens the catalog that uri names, with its views and nothing else
// within reach. Until close it asks ctx whether to go on.
func openSandbox(ctx context.Context, uri string) (*sandbox, error) {
	// The name of the catalog, and of what reads it, is one that no query can guess.
	key := "k" + strings.ToLower(rand.Text())
	s := &sandbox{tls: libc.NewTLS(), guard: newGuard(ctx, key)}
	err := s.open()
	if err == nil {
		err = s.exec(setup(key, uri))
	}
	if err == nil {
		err = s.learnNames()
	}
	if err != nil {
		s.close()
		return nil, err
	}
	s.lockDown()
	return s, nil
}

// open opens an empty database in memory: the catalog is attached to it.
func (s *sandbox) open() error {
	name, free, err := s.cstring(":memory:")
	if err != nil {
		return err
	}
	defer free()
	out := libc.Xmalloc(s.tls, 8)
	if out == 0 {
		return errNoMemory
	}
	defer libc.Xfree(s.tls, out)
	rc := sqlitelib.Xsqlite3_open_v2(s.tls, name, out,
		sqlitelib.SQLITE_OPEN_READWRITE|sqlitelib.SQLITE_OPEN_CREATE|sqlitelib.SQLITE_OPEN_NOMUTEX|sqlitelib.SQLITE_OPEN_URI, 0)
	s.db = pointerAt(out)
	if rc != sqlitelib.SQLITE_OK {
		return s.fault(rc)
	}
	sqlitelib.Xsqlite3_extended_result_codes(s.tls, s.db, 1)
	return nil
}

// setup attaches the catalog and makes two views of each: one that reads tables,
// whose name nobody can guess, and the one that is known, which reads the first.
func setup(key, uri string) string {
	var script strings.Builder
	fmt.Fprintf(&script, "PRAGMA busy_timeout = %d; PRAGMA temp_store = 1; ATTACH '%s' AS %s; PRAGMA %s.cache_size = -8192;\n",
		busyTimeout, strings.ReplaceAll(uri, "'", "''"), key, key)
	for _, v := range schema.Views() {
		fmt.Fprintf(&script, "CREATE TEMP VIEW %s_%s AS %s;\n", key, v.Name, strings.ReplaceAll(v.Select, "main.", key+"."))
		fmt.Fprintf(&script, "CREATE TEMP VIEW %s AS SELECT * FROM temp.%s_%s;\n", v.Name, key, v.Name)
	}
	script.WriteString("PRAGMA query_only = 1;")
	return script.String()
}

// learnNames tells the guard what a name without columns may mean beside a view or
// a WITH of the query.
func (s *sandbox) learnNames() error {
	st, err := s.prepare("SELECT name FROM " + s.guard.key + ".sqlite_schema UNION ALL SELECT name FROM pragma_module_list")
	if err != nil {
		return err
	}
	defer st.close()
	for {
		row, err := st.step()
		if err != nil || row == nil {
			return err
		}
		if name, ok := row[0].(string); ok {
			s.guard.hidden[strings.ToLower(name)] = true
		}
	}
}

// lockDown sets the limits, and the authorizer, which from here on is asked about
// everything that a statement would do.
func (s *sandbox) lockDown() {
	for id, value := range queryLimits {
		sqlitelib.Xsqlite3_limit(s.tls, s.db, id, value)
	}
	// "nosuch" in double quotes is an error, and not a text that reads so.
	va := libc.NewVaList(int32(0), uintptr(0))
	sqlitelib.Xsqlite3_db_config(s.tls, s.db, sqlitelib.SQLITE_DBCONFIG_DQS_DML, va)
	libc.Xfree(s.tls, va)
	s.pin.Pin(s.guard)
	arg := uintptr(unsafe.Pointer(s.guard))
	sqlitelib.Xsqlite3_set_authorizer(s.tls, s.db, function(authorize), arg)
	sqlitelib.Xsqlite3_progress_handler(s.tls, s.db, progressOps, function(goOn), arg)
}

func (s *sandbox) close() {
	if s.db != 0 {
		sqlitelib.Xsqlite3_close_v2(s.tls, s.db)
		s.db = 0
	}
	s.pin.Unpin()
	s.tls.Close()
}

// exec runs statements of this package.
func (s *sandbox) exec(script string) error {
	text, free, err := s.cstring(script)
	if err != nil {
		return err
	}
	defer free()
	if rc := sqlitelib.Xsqlite3_exec(s.tls, s.db, text, 0, 0, 0); rc != sqlitelib.SQLITE_OK {
		return s.fault(rc)
	}
	return nil
}

// cstring copies text for SQLite; free gives it back.
func (s *sandbox) cstring(text string) (p uintptr, free func(), err error) {
	p, err = libc.CString(text)
	if err != nil {
		return 0, nil, errNoMemory
	}
	return p, func() { libc.Xfree(s.tls, p) }, nil
}

// fault is the error that SQLite has just had, in its class.
func (s *sandbox) fault(rc int32) error {
	return s.guard.judge(int(rc), libc.GoString(sqlitelib.Xsqlite3_errmsg(s.tls, s.db)))
}

var errNoMemory = fmt.Errorf("query: %w: out of memory", content.ErrNoSpace)

// pointerAt is the pointer that C has written to p.
func pointerAt(p uintptr) uintptr { return **(**uintptr)(unsafe.Pointer(&p)) }

// function is a function of this package as a C pointer, in the form that libc
// calls. f must be declared, not a closure.
func function[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&struct{ f F }{f})) }

// guardAt is the guard whose address SQLite was given; its sandbox keeps it there.
func guardAt(p uintptr) *guard { return *(**guard)(unsafe.Pointer(&p)) }

// authorize is SQLite's question whether a statement that is being compiled may do
// something; see sqlite3_set_authorizer.
func authorize(_ *libc.TLS, arg uintptr, action int32, a, b, database, view uintptr) int32 {
	if guardAt(arg).allows(action, libc.GoString(a), libc.GoString(b), libc.GoString(database), libc.GoString(view)) {
		return sqlitelib.SQLITE_OK
	}
	return sqlitelib.SQLITE_DENY
}

// goOn is SQLite's question whether a statement that runs may go on: 0 is yes.
func goOn(_ *libc.TLS, arg uintptr) int32 {
	if guardAt(arg).ctx.Err() != nil {
		return 1
	}
	return 0
}
