package db

import (
	"fmt"
	"strings"

	"modernc.org/libc"
	sqlitelib "modernc.org/sqlite/lib"
)

// statement is a compiled statement of a sandbox, which it must not outlive.
type statement struct {
	s       *sandbox
	p       uintptr
	columns []string
	done    bool
}

// compile compiles the one statement that text has to be, a SELECT.
func (s *sandbox) compile(text string) (*statement, error) {
	switch {
	case len(text) > maxQueryText:
		return nil, errRefused("this one has more than %d KiB", maxQueryText>>10)
	case strings.Contains(text, "\x00"):
		return nil, errRefused("this one has a NUL byte")
	case expansion(text) > maxExpansion:
		return nil, errRefused("this one uses its WITHs more than %d times, each by each", maxExpansion)
	}
	st, err := s.prepare(text)
	if err != nil {
		return nil, err
	}
	if err := s.selectsOnly(st); err != nil {
		st.close()
		return nil, err
	}
	return st, nil
}

// selectsOnly refuses what compiles without anybody having been asked, such as
// VACUUM, and EXPLAIN, which shows the tables; EXPLAIN QUERY PLAN may pass.
func (s *sandbox) selectsOnly(st *statement) error {
	const explain = 1
	switch {
	case st.p == 0:
		return errRefused("this one is empty")
	case !s.guard.selects || len(st.columns) == 0 || sqlitelib.Xsqlite3_stmt_readonly(s.tls, st.p) == 0 ||
		sqlitelib.Xsqlite3_stmt_isexplain(s.tls, st.p) == explain:
		return errRefused("this one is none")
	}
	return nil
}

// prepare compiles text, and refuses more than one statement. A text of blanks and
// comments is a statement without p.
func (s *sandbox) prepare(text string) (*statement, error) {
	p, free, err := s.cstring(text)
	if err != nil {
		return nil, err
	}
	defer free()
	first, rest, err := s.prepareFirst(p)
	if err != nil {
		return nil, err
	}
	for libc.GoString(rest) != "" {
		second, next, err := s.prepareFirst(rest)
		if err != nil || second != 0 {
			sqlitelib.Xsqlite3_finalize(s.tls, second)
			sqlitelib.Xsqlite3_finalize(s.tls, first)
			return nil, errRefused("these are several statements")
		}
		rest = next
	}
	st := &statement{s: s, p: first}
	for i := range sqlitelib.Xsqlite3_column_count(s.tls, first) {
		name := libc.GoString(sqlitelib.Xsqlite3_column_name(s.tls, first, i))
		st.columns = append(st.columns, strings.ToValidUTF8(name, "\uFFFD"))
	}
	return st, nil
}

// prepareFirst compiles the first statement of text, and says where the rest begins.
func (s *sandbox) prepareFirst(text uintptr) (st, rest uintptr, err error) {
	out := libc.Xmalloc(s.tls, 16)
	if out == 0 {
		return 0, 0, errNoMemory
	}
	defer libc.Xfree(s.tls, out)
	if rc := sqlitelib.Xsqlite3_prepare_v2(s.tls, s.db, text, -1, out, out+8); rc != sqlitelib.SQLITE_OK {
		return 0, 0, s.fault(rc)
	}
	return pointerAt(out), pointerAt(out + 8), nil
}

func (st *statement) close() { sqlitelib.Xsqlite3_finalize(st.s.tls, st.p) }

// step returns the next row, nil after the last: a nil, int64, float64, string or
// []byte for each column.
func (st *statement) step() ([]any, error) {
	if st.done {
		return nil, nil
	}
	switch rc := sqlitelib.Xsqlite3_step(st.s.tls, st.p); rc {
	case sqlitelib.SQLITE_ROW:
		return st.row()
	case sqlitelib.SQLITE_DONE:
		st.done = true
		return nil, nil
	default:
		st.done = true
		return nil, st.s.fault(rc)
	}
}

func (st *statement) row() ([]any, error) {
	row := make([]any, len(st.columns))
	size := 0
	for i := range row {
		v, err := st.value(int32(i))
		if err != nil {
			return nil, fmt.Errorf("query: column %s: %w", st.columns[i], err)
		}
		switch v := v.(type) {
		case string:
			size += len(v)
		case []byte:
			size += len(v)
		}
		if size > maxQueryValue {
			return nil, st.s.guard.judge(sqlitelib.SQLITE_TOOBIG, "")
		}
		row[i] = v
	}
	return row, nil
}

func (st *statement) value(i int32) (any, error) {
	tls := st.s.tls
	switch sqlitelib.Xsqlite3_column_type(tls, st.p, i) {
	case sqlitelib.SQLITE_NULL:
		return nil, nil
	case sqlitelib.SQLITE_INTEGER:
		return sqlitelib.Xsqlite3_column_int64(tls, st.p, i), nil
	case sqlitelib.SQLITE_FLOAT:
		return sqlitelib.Xsqlite3_column_double(tls, st.p, i), nil
	case sqlitelib.SQLITE_TEXT:
		p := sqlitelib.Xsqlite3_column_text(tls, st.p, i)
		b, err := st.bytes(p, i)
		return st.s.guard.unnamed(string(b)), err
	}
	return st.bytes(sqlitelib.Xsqlite3_column_blob(tls, st.p, i), i)
}

// bytes copies the bytes at p, of column i.
func (st *statement) bytes(p uintptr, i int32) ([]byte, error) {
	n := sqlitelib.Xsqlite3_column_bytes(st.s.tls, st.p, i)
	switch {
	case n == 0:
		return []byte{}, nil
	case p == 0:
		return nil, errNoMemory
	}
	return append([]byte(nil), libc.GoBytes(p, int(n))...), nil
}
