package db

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"dist.example/content"
)

// leaveAfter is how long a query that was ended is waited for. What is within one
// step of SQLite, such as a LIKE over a long text, cannot be interrupted; then it is
// left to its end with a connection of its own.
const leaveAfter = time.Second

// QueryOptions bound a query.
type QueryOptions struct {
	Limit   int           // rows, 0 for all
	Timeout time.Duration // until the last of them is read, 0 for no end
}

// Rows is the answer to a query.
type Rows struct {
	// Columns are the names of the columns, as the query gives them; a name may come
	// twice.
	Columns []string

	ctx    context.Context
	cancel context.CancelFunc
	ready  chan struct{} // closed when Columns are there, or all is over
	rows   chan []any
	done   chan struct{} // closed when all is over, with what follows set
	more   bool
	err    error
}

// Query answers text, one SELECT over the views of package schema. It reads one snapshot, changes nothing and takes no lock
// that a writer waits for. The caller closes the Rows. See the package's doc for what
// keeps a query from anything else.
//
// Errors: content.ErrInvalid for text that is no SELECT, asks for something else than
// views, is wrong SQL or fails for a value; content.ErrNoStore for a catalog of a newer
// version; content.ErrUnavailable after o.Timeout; the cause of ctx; those of Read.
func (d *DB) Query(ctx context.Context, text string, o QueryOptions) (*Rows, error) {
	ctx, cancel := withTimeout(ctx, o.Timeout)
	r := &Rows{ctx: ctx, cancel: cancel, ready: make(chan struct{}), rows: make(chan []any), done: make(chan struct{})}
	// The connection is this goroutine's alone, so that one that cannot be interrupted
	// can be left behind.
	pool := d.pool // that of d is gone after Close, which does not wait for what was left behind
	go func() {
		err := d.answer(r, pool, text, o.Limit)
		if uerr := d.unchanged(); uerr != nil {
			err = uerr
		}
		r.err = err
		close(r.done)
	}()
	select {
	case <-r.ready:
		return r, nil
	case <-r.done:
		return r.orFailed()
	case <-ctx.Done():
		r.Close()
		return nil, context.Cause(ctx)
	}
}

// withTimeout is ctx, which ends after timeout if that is more than 0.
func withTimeout(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, timeout, content.WithHint(
		fmt.Errorf("query: %w: it took more than %s", content.ErrUnavailable, timeout), "--timeout gives it more time"))
}

// orFailed is r, which has come to its end, or why there is none.
func (r *Rows) orFailed() (*Rows, error) {
	select {
	case <-r.ready:
		return r, nil
	default:
		r.cancel()
		return nil, r.err
	}
}

// answer runs a query and hands on its rows.
func (d *DB) answer(r *Rows, pool *pool, text string, limit int) error {
	// While another connection has the log open, one that only reads finds all it needs.
	c, err := pool.reader(r.ctx)
	if err != nil {
		return err
	}
	defer func() { pool.put(c, err == nil) }()
	if err = (&Tx{c: c}).checkVersion(); err != nil {
		return err
	}
	s, err := openSandbox(r.ctx, uri(d.file, slices.Concat(d.params, []string{"mode=ro"})...))
	if err != nil {
		return err
	}
	defer s.close()
	st, err := s.compile(text)
	if err != nil {
		return err
	}
	defer st.close()
	r.Columns = st.columns
	close(r.ready)
	return r.hand(st, limit)
}

// hand gives the rows of st to who reads them.
func (r *Rows) hand(st *statement, limit int) error {
	for n := 0; ; n++ {
		row, err := st.step()
		if err != nil || row == nil {
			return err
		}
		if limit > 0 && n == limit {
			r.more = true
			return nil
		}
		select {
		case r.rows <- row:
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		}
	}
}

// All yields the rows, once: for each column a nil, int64, float64, string or []byte,
// of at most 1 MiB together. It ends with an error, or after the last row.
func (r *Rows) All() iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		for {
			select {
			case <-r.done: // it has ended, whatever has become of ctx since
				if r.err != nil {
					yield(nil, r.err)
				}
				return
			default:
			}
			select {
			case row := <-r.rows:
				if !yield(row, nil) {
					return
				}
				continue
			case <-r.done:
				if r.err != nil {
					yield(nil, r.err)
				}
			case <-r.ctx.Done():
				yield(nil, context.Cause(r.ctx))
			}
			return
		}
	}
}

// More says, after All, whether there were more rows than the limit.
func (r *Rows) More() bool {
	select {
	case <-r.done:
		return r.more
	default:
		return false
	}
}

// Close ends the query. Idempotent.
func (r *Rows) Close() {
	r.cancel()
	timer := time.NewTimer(leaveAfter)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
	}
}
