package registryclient

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"dist.example/budgets"
)

const (
	// idleConns is how long connections that nobody uses are kept.
	idleConns = 90 * time.Second
	// idleLimited is the same where connections are limited: another process may be
	// waiting for one.
	idleLimited = 2 * time.Second
)

func (c *Client) idleTimeout() time.Duration {
	if c.opts.Budgets.Limits().Connections > 0 {
		return idleLimited
	}
	return idleConns
}

func (c *Client) budgetOf(e *endpoint) *budgets.Host { return c.opts.Budgets.Host(e.host()) }

// budgetError is err for those who try again: nothing was sent, and asking the
// registry again would not help.
func (h hop) budgetError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return &settled{fmt.Errorf("limits: %w", err)}
}

// connSlot waits for the right to one more connection. Meanwhile the request that
// wants it does not stall, and connections that this process does not use are
// closed: it may be waiting for one of its own.
func (c *Client) connSlot(ctx context.Context, addr string) (*budgets.Slot, error) {
	wait, _ := ctx.Value(connWaitKey{}).(*connWait)
	wait.pause()
	defer wait.resume(false)
	slot, err := c.opts.Budgets.Connect(ctx, addr, c.CloseIdle)
	if err != nil && ctx.Err() == nil {
		return nil, &settled{err}
	}
	return slot, err
}

// connWait keeps a request's watch still while the request waits for the right to
// a connection. A nil connWait, where there is no limit, does nothing.
type connWait struct {
	mu    sync.Mutex
	w     *watch        // nil where it is not for a connection that it looks out
	limit time.Duration // of the wait that was broken off, 0 when none was
	ended bool          // the request has a connection
}

type connWaitKey struct{}

// withConnWait gives the dial of a request the way to its watch.
func (c *Client) withConnWait(ctx context.Context) (context.Context, *connWait) {
	if c.opts.Budgets.Limits().Connections == 0 {
		return ctx, nil
	}
	w := &connWait{}
	ctx = context.WithValue(ctx, connWaitKey{}, w)
	// A connection that became free meanwhile ends the wait, too.
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { w.resume(true) },
	}), w
}

// watch tells which watch it is. The request has not been sent yet. One with a
// body has patience with others by itself.
func (w *connWait) watch(req *http.Request, of *watch) {
	if w != nil && req.ContentLength <= 0 {
		w.w = of
	}
}

func (w *connWait) pause() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.w != nil && !w.ended && w.limit == 0 {
		w.limit = w.w.limit()
		w.w.end()
	}
}

// resume goes on watching; at the end of the wait nothing is paused any more.
func (w *connWait) resume(end bool) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.limit > 0 && !w.ended {
		w.w.begin("no answer comes", w.limit)
		w.limit = 0
	}
	w.ended = w.ended || end
}
