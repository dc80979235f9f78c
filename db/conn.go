package db

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"modernc.org/sqlite"
)

// maxReaders bounds the connections that read at once, maxIdle those kept for
// later use.
const (
	maxReaders = 32
	maxIdle    = 4
)

// busyTimeout is how long SQLite itself waits for another connection, in
// milliseconds. Writers do not meet here, write.lock keeps them apart; it is for
// recovery and checkpoints.
const busyTimeout = 30_000

// conn is one connection with its prepared statements. It is for one
// transaction at a time.
type conn struct {
	c     *sql.Conn
	stmts map[string]*sql.Stmt
	lent  map[string]bool // statements whose rows are being read
	slot  bool            // it has one of the pool's places for readers
	brief bool            // and one of those for who gives it back at once
}

// pool opens connections when they are needed and keeps a few: a process that
// does one thing at a time opens one, reader and writer in turn.
type pool struct {
	db    *sql.DB
	slots chan struct{}
	// briefly are as many places as connections are kept, and processors there are: a
	// server that asks one question for each of many requests at once opens no more for
	// them, nor does a command that asks for a few objects at once. Opening one takes as
	// long as some dozens of questions.
	briefly chan struct{}

	mu     sync.Mutex
	idle   []*conn
	closed bool
}

// uri is SQLite's name for a catalog file.
func uri(file string, params ...string) string {
	p := filepath.ToSlash(file)
	if !strings.HasPrefix(p, "/") && filepath.IsAbs(file) {
		p = "/" + p // C:/… on Windows
	}
	return "file:" + (&url.URL{Path: p}).EscapedPath() + "?" + strings.Join(params, "&")
}

// patiently lets a connection wait for others.
var patiently = fmt.Sprintf("_pragma=busy_timeout(%d)", busyTimeout)

// dsn is the driver's name for a catalog file. params are SQLite's own.
func dsn(file string, cacheMiB int, params ...string) string {
	params = append(params,
		patiently,
		fmt.Sprintf("_pragma=cache_size(%d)", -cacheMiB<<10),
		// The WAL is written back by this package, see writeBack.
		"_pragma=wal_autocheckpoint(0)",
		// Statements of many rows keep what they would undo in memory, not in a
		// temporary file.
		"_pragma=temp_store(2)")
	return uri(file, params...)
}

func newPool(dsn string) (*pool, error) {
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	p := &pool{db: sql.OpenDB(connector), slots: make(chan struct{}, maxReaders), briefly: make(chan struct{}, min(maxIdle, runtime.GOMAXPROCS(0)))}
	p.db.SetMaxIdleConns(-1) // the pool keeps them itself, with their statements
	return p, nil
}

// reader takes a connection for a read, and waits while too many read.
func (p *pool) reader(ctx context.Context) (*conn, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	c, err := p.get()
	if err != nil {
		<-p.slots
		return nil, err
	}
	c.slot = true
	return c, nil
}

// brief is reader for a single statement whose rows are read in one go.
func (p *pool) brief(ctx context.Context) (*conn, error) {
	select {
	case p.briefly <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	c, err := p.reader(ctx)
	if err != nil {
		<-p.briefly
		return nil, err
	}
	c.brief = true
	return c, nil
}

// get takes a connection at once: for a writer, of whom there is one at a time,
// and who must not wait for readers that may be waiting for him.
func (p *pool) get() (*conn, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return c, nil
	}
	p.mu.Unlock()
	c, err := p.db.Conn(context.Background())
	if err != nil {
		return nil, classify(err)
	}
	return &conn{c: c, stmts: map[string]*sql.Stmt{}, lent: map[string]bool{}}, nil
}

// put takes c back. One that is not sound any more, or one too many, is closed.
func (p *pool) put(c *conn, sound bool) {
	defer p.leave(c.slot, c.brief)
	c.slot, c.brief = false, false
	p.mu.Lock()
	if sound && !p.closed && len(p.idle) < maxIdle {
		p.idle = append(p.idle, c)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	c.close()
}

// leave gives places back, after the connection: who gets one finds that.
func (p *pool) leave(slot, brief bool) {
	if slot {
		<-p.slots
	}
	if brief {
		<-p.briefly
	}
}

// close closes idle connections now, and those in use when they come back.
func (p *pool) close() error {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
	return p.db.Close()
}

func (c *conn) close() {
	for _, s := range c.stmts {
		s.Close()
	}
	c.c.Close()
}

// stmt prepares query once per connection. The queries of this package are
// constants or come in a few sizes each, so the cache is bounded.
func (c *conn) stmt(query string) (*sql.Stmt, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	s, err := c.c.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, classifyRead(err)
	}
	c.stmts[query] = s
	return s, nil
}

// lend is stmt for a query whose rows are read one by one: until release, the
// same query gets a statement of its own, since a statement has one set of rows.
func (c *conn) lend(query string) (s *sql.Stmt, release func(), err error) {
	if c.lent[query] {
		s, err = c.c.PrepareContext(context.Background(), query)
		return s, func() { s.Close() }, classifyRead(err)
	}
	s, err = c.stmt(query)
	if err != nil {
		return nil, nil, err
	}
	c.lent[query] = true
	return s, func() { delete(c.lent, query) }, nil
}

// exec runs a statement to its end. Statements are short: cancelling happens
// between them.
func (c *conn) exec(query string, args ...any) (sql.Result, error) {
	s, err := c.stmt(query)
	if err != nil {
		return nil, err
	}
	res, err := s.ExecContext(context.Background(), args...)
	return res, classify(err)
}

// row reads the single row of query; sql.ErrNoRows when there is none.
func (c *conn) row(query string, dest ...any) error {
	s, err := c.stmt(query)
	if err != nil {
		return err
	}
	return scanned(s.QueryRowContext(context.Background()).Scan(dest...))
}

// script runs several statements, or one that cannot be prepared ahead.
func (c *conn) script(sql string) error {
	_, err := c.c.ExecContext(context.Background(), sql)
	return classify(err)
}
