package plugin

import (
	"context"
	"fmt"
	"sync"

	"dist.example/content"
)

// maxIdle is how many processes are kept for the next request.
const maxIdle = 8

// pool is the processes that serve one place.
type pool struct {
	t        *Transport
	mode, at string
	turn     chan struct{} // holds one token where one process has to do, else nil

	mu     sync.Mutex
	idle   []*process
	closed bool
	ending sync.WaitGroup
}

// newPool starts the first process, which says what the program can do.
func newPool(ctx context.Context, t *Transport, mode, at string) (*pool, *process, error) {
	p, err := start(ctx, t, mode, at)
	if err != nil {
		return nil, nil, err
	}
	l := &pool{t: t, mode: mode, at: at, idle: []*process{p}}
	if mode == "write" && !p.can("parallel") {
		l.turn = make(chan struct{}, 1)
		l.turn <- struct{}{}
	}
	return l, p, nil
}

// get is a process that does nothing. It goes back by put or drop.
func (l *pool) get(ctx context.Context) (*process, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if l.turn != nil {
		select {
		case <-l.turn:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	p, err := l.take(ctx)
	if err != nil {
		l.pass()
	}
	return p, err
}

func (l *pool) take(ctx context.Context) (*process, error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, fmt.Errorf("%s: %w: it is closed", l.t.program(), content.ErrConflict)
	}
	if n := len(l.idle); n > 0 {
		p := l.idle[n-1]
		l.idle = l.idle[:n-1]
		l.mu.Unlock()
		return p, nil
	}
	l.mu.Unlock()
	return start(ctx, l.t, l.mode, l.at)
}

// pass lets the next one have its turn.
func (l *pool) pass() {
	if l.turn != nil {
		l.turn <- struct{}{}
	}
}

// put takes a process back that is between two requests.
func (l *pool) put(p *process) {
	fit := !p.killed()
	l.mu.Lock()
	keep := fit && !l.closed && len(l.idle) < maxIdle
	if keep {
		l.idle = append(l.idle, p)
	}
	l.mu.Unlock()
	if !keep {
		l.drop(p)
		return
	}
	l.pass()
}

// drop ends a process that is in the middle of something.
func (l *pool) drop(p *process) {
	l.ending.Go(func() {
		_ = p.end()
		l.pass()
	})
}

// done gives p back after a request that came to err: one that was refused leaves a
// process that can go on, all other failures do not.
func (l *pool) done(p *process, err error) {
	if !p.amid && (err == nil || isRefusal(err)) {
		l.put(p)
		return
	}
	l.drop(p)
}

// Close ends the processes and waits until they are gone.
func (l *pool) Close() error {
	l.mu.Lock()
	idle := l.idle
	l.idle, l.closed = nil, true
	l.mu.Unlock()
	for _, p := range idle {
		l.ending.Go(func() { _ = p.end() })
	}
	l.ending.Wait()
	return nil
}
