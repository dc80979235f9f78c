package budgets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"dist.example/content"
	"dist.example/fsys"
)

// Host is the budget of one host, for concurrent use: those who wait take turns
// in the order in which they came. A nil Host has no limits.
type Host struct {
	set  *Set
	host string
	name string

	byteTurn, requestTurn chan struct{} // of one element: whose turn it is to wait

	lock   chan struct{} // of one element: guards what follows
	file   fsys.File     // nil before it is needed, and where none can be had
	own    state         // in place of the file's
	closed bool
}

func newHost(s *Set, host, name string) *Host {
	one := func() chan struct{} { return make(chan struct{}, 1) }
	return &Host{set: s, host: host, name: name, byteTurn: one(), requestTurn: one(), lock: one()}
}

// Paced says whether bytes have a limit.
func (h *Host) Paced() bool { return h != nil && !h.set.bytes.unlimited() }

// Part is the beginning of p that should be filled at once: as much as half a
// burst, so that whoever pays for it afterwards need not pause for long.
func (h *Host) Part(p []byte) []byte {
	if !h.Paced() {
		return p
	}
	b := h.set.bytes
	return p[:min(int64(len(p)), max(1, b.worth(b.burst)/2))]
}

// Bytes returns when n bytes may pass, or have passed. Errors: the cause of ctx;
// ErrUnavailable when somebody sits on the host's file.
func (h *Host) Bytes(ctx context.Context, n int) error {
	if n == 0 || !h.Paced() {
		return nil
	}
	return h.spend(ctx, h.byteTurn, h.set.bytes, (*state).ofBytes, int64(n), "")
}

// Request returns when one more request may be sent. Errors: as Bytes.
func (h *Host) Request(ctx context.Context) error {
	if h == nil || h.set.asked.unlimited() {
		return nil
	}
	return h.spend(ctx, h.requestTurn, h.set.asked, (*state).ofRequests, 1, "a request to "+h.host)
}

func (s *state) ofBytes() *meter    { return &s.bytes }
func (s *state) ofRequests() *meter { return &s.requests }

// spend takes n from a meter, in parts where it has to be. what is said of a
// wait that takes long, "" for nothing.
func (h *Host) spend(ctx context.Context, turn chan struct{}, p pace, of func(*state) *meter, n int64, what string) error {
	told := h.set.patience(what)
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-turn }()
	for n > 0 {
		var (
			granted int64
			wait    time.Duration
		)
		err := h.look(ctx, func(s *state, now int64) {
			of(s).settle(now)
			granted, wait = of(s).grant(p, n)
		})
		if err != nil {
			return err
		}
		if n -= granted; n == 0 {
			return nil
		}
		if granted == 0 {
			told(wait)
			if err := h.set.opts.Clock.Sleep(ctx, wait); err != nil {
				return err
			}
		}
	}
	return nil
}

// patience returns what is to be told of each pause before it is made, and says
// once what waits when that takes long.
func (s *Set) patience(what string) func(time.Duration) {
	var waited time.Duration
	said := what == ""
	return func(d time.Duration) {
		if waited += d; waited >= noticeAfter && !said {
			said = true
			s.opts.Warn(what + " waits for room under the limits that this command shares with others")
		}
	}
}

// look lets change see the state and change it, under the file's lock. change
// must not wait for anything.
func (h *Host) look(ctx context.Context, change func(s *state, now int64)) error {
	select {
	case h.lock <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-h.lock }()
	if h.file == nil && !h.closed {
		h.file, _ = h.set.open(h.name)
	}
	if h.file == nil {
		change(&h.own, h.set.opts.Clock.Now().UnixNano())
		return nil
	}
	if err := h.lockFile(ctx); err != nil {
		return err
	}
	err := h.change(change)
	if uerr := h.file.Unlock(); err == nil {
		err = uerr
	}
	if err != nil {
		h.forsake(err)
	}
	return nil
}

func (h *Host) lockFile(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	err := h.file.Lock(within, true)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("budget of %s: %w: a process has held %s for %s", h.host, content.ErrUnavailable, h.file.Name(), lockTimeout)
	}
	return err
}

func (h *Host) change(change func(s *state, now int64)) error {
	p := make([]byte, stateSize)
	n, err := h.file.ReadAt(p, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		n = 0 // what cannot be read counts as fresh; that it cannot be written shows below
	}
	s := decode(p[:n])
	// The time is read under the lock, or that of two processes could go back.
	change(&s, h.set.opts.Clock.Now().UnixNano())
	h.own = s
	_, err = h.file.WriteAt(s.encode(), 0)
	return err
}

// forsake goes on without the file, from where it stood.
func (h *Host) forsake(err error) {
	h.file.Close()
	h.file = nil
	h.set.mu.Lock()
	defer h.set.mu.Unlock()
	h.set.leave(err)
}

func (h *Host) close() error {
	h.lock <- struct{}{}
	defer func() { <-h.lock }()
	h.closed = true
	if h.file == nil {
		return nil
	}
	f := h.file
	h.file = nil
	return f.Close()
}
