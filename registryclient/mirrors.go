package registryclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"dist.example/content"
)

// firstAnswerWait is how many times Options.MirrorTimeout a mirror's first
// answer may take.
const firstAnswerWait = 3

// trust is what is left of a mirror's good name.
type trust int32

const (
	trusted  trust = iota
	faltered       // it answered, or began to, and that was no good
	dead           // no answer came: each try may cost a timeout
)

// standing is how a mirror has done so far. What is lost stays lost for the life
// of the Client, which is a run of the command line: a dead mirror costs one
// timeout, not one for each blob.
type standing struct {
	met   atomic.Bool   // an answer has come, be it good or bad
	trust atomic.Int32  // a trust
	gate  chan struct{} // of one element: who asks first, alone, before it has met anybody

	mu      sync.Mutex
	refused map[string]bool // repositories that it denies
	tagged  map[string]bool // repositories of which it resolved a tag
	gave    map[string]bool // repositories of which it gave or described a manifest
}

func (s *standing) rests() bool { return trust(s.trust.Load()) != trusted }

func (s *standing) set(m *map[string]bool, repository string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *m == nil {
		*m = map[string]bool{}
	}
	(*m)[repository] = true
}

func (s *standing) has(m *map[string]bool, repository string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (*m)[repository]
}

// eachHost asks those who may answer for the repository, in order, until one
// does; mirrors that have let down come last. The error is that of the registry
// itself.
func eachHost[T any](ctx context.Context, r *Repository, what capability, ask func(*endpoint) (T, error)) (T, error) {
	var none T
	if r.pushing {
		e, err := r.pushHost()
		if err != nil {
			return none, err
		}
		return ask(e)
	}
	hosts, err := r.client.endpoints(r.ref, what)
	if err != nil {
		return none, err
	}
	for _, e := range hosts {
		if r.passesOver(e, what) || e.standing.rests() {
			continue
		}
		got, asked, askErr := askHost(ctx, r, e, what, ask)
		if asked && (askErr == nil || ctx.Err() != nil) {
			return got, askErr
		}
		if asked {
			err = askErr
		}
	}
	return lastResort(ctx, r, hosts, what, err, ask)
}

// lastResort asks mirrors that let down before, now that nobody else has
// answered; err is what the last one said. What the registry itself does not
// have is not worth the timeout of a dead mirror.
func lastResort[T any](ctx context.Context, r *Repository, hosts []*endpoint, what capability, err error, ask func(*endpoint) (T, error)) (T, error) {
	var none T
	for _, e := range hosts {
		t := trust(e.standing.trust.Load())
		if t == trusted || r.passesOver(e, what) || (t == dead && errors.Is(err, content.ErrNotFound)) {
			continue
		}
		got, askErr := ask(e)
		if askErr == nil {
			e.standing.trust.Store(int32(trusted))
			r.took(e, what)
			return got, nil
		}
		if err == nil || ctx.Err() != nil {
			err = askErr
		}
	}
	return none, err
}

// passesOver says that a mirror is not for this repository, or not for what is
// asked of it.
func (r *Repository) passesOver(e *endpoint, what capability) bool {
	name := r.ref.Name()
	if !e.mirror {
		return false
	}
	return e.standing.has(&e.standing.refused, name) ||
		(e.tagOnly && what&canResolve == 0 && !e.standing.has(&e.standing.tagged, name))
}

// askHost asks one host. Of a mirror that nobody has met yet, one request finds
// out whether it lives, and the others wait for that. asked is false where it
// came out that it does not.
func askHost[T any](ctx context.Context, r *Repository, e *endpoint, what capability, ask func(*endpoint) (T, error)) (got T, asked bool, err error) {
	if e.mirror && !e.standing.met.Load() {
		select {
		case e.standing.gate <- struct{}{}:
		case <-ctx.Done():
			return got, true, fmt.Errorf("%s: %w", r.ref.Name(), ctx.Err())
		}
		defer func() { <-e.standing.gate }()
		if e.standing.rests() {
			return got, false, nil
		}
	}
	got, err = ask(e)
	switch {
	case err == nil:
		r.took(e, what)
	case e.mirror && ctx.Err() == nil && !errors.Is(err, content.ErrNotFound):
		r.blame(e, err)
	}
	return got, true, err
}

// took remembers whose tag was believed: what it leads to may be there alone.
func (r *Repository) took(e *endpoint, what capability) {
	if e.tagOnly && what&canResolve != 0 {
		e.standing.set(&e.standing.tagged, r.ref.Name())
	}
}

// gives remembers that a mirror has the repository.
func (r *Repository) gives(e *endpoint) {
	if e.mirror {
		e.standing.set(&e.standing.gave, r.ref.Name())
	}
}

// speaksFor says whether e's word counts also for what it does not have: it is the
// registry itself, or a mirror that the repository comes from. The registry behind it
// may be out of reach, and each try to reach it a time-out.
func (r *Repository) speaksFor(e *endpoint) bool {
	return !e.mirror || e.standing.has(&e.standing.gave, r.ref.Name())
}

// blame lets a mirror rest after err; one that denies a repository, for that
// repository alone.
func (r *Repository) blame(e *endpoint, err error) {
	if errors.Is(err, content.ErrDenied) {
		e.standing.set(&e.standing.refused, r.ref.Name())
	} else {
		e.standing.trust.Store(int32(trustAfter(err)))
	}
	r.client.once("mirror "+e.base.String(), "mirror %s of %s is passed over from now on: %v", e.host(), r.ref.Registry, err)
}

// trustAfter tells mirrors that do not answer from those that answer badly.
func trustAfter(err error) trust {
	var remote *content.RemoteError
	if !errors.As(err, &remote) || remote.Status != 0 || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.ErrUnexpectedEOF) {
		return faltered
	}
	return dead
}

// letDown is told that the body of an answer broke off. A mirror where it stood
// still, or broke again before anything came, is passed over from now on; the
// blob goes on from somebody else.
func (r *Repository) letDown(e *endpoint, err error, again bool) {
	if e != nil && e.mirror && (again || errors.Is(err, errStalled)) {
		r.blame(e, err)
	}
}

// restMirrors passes over all mirrors of the repository that have answered so
// far: what came was corrupt, and may have come from any of them.
func (r *Repository) restMirrors() {
	hosts, _ := r.client.endpoints(r.ref, canPull)
	for _, e := range hosts {
		if e.mirror && e.standing.met.Load() && !e.standing.rests() {
			r.blame(e, fmt.Errorf("%w content came, perhaps from it", content.ErrCorrupt))
		}
	}
}

// once gives a warning that was not given yet about the same.
func (c *Client) once(about, format string, args ...any) {
	if _, said := c.said.LoadOrStore(about, true); !said {
		c.opts.Warn(fmt.Sprintf(format, args...))
	}
}

// firstAnswer bounds the wait for a mirror's first answer, which tells whether
// it is there at all. Requests with a body are left alone: sending takes its
// time.
type firstAnswer struct {
	http.RoundTripper
	wait     time.Duration
	standing *standing
}

func (f *firstAnswer) RoundTrip(req *http.Request) (*http.Response, error) {
	if f.standing.met.Load() || req.ContentLength != 0 {
		return f.RoundTripper.RoundTrip(req)
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(f.wait, func() { cancel(errStalled) })
	resp, err := f.RoundTripper.RoundTrip(req.WithContext(ctx))
	if err != nil || !timer.Stop() {
		timer.Stop()
		if err == nil {
			resp.Body.Close()
		}
		err = causeOf(ctx, err)
		cancel(nil)
		return nil, err
	}
	f.standing.met.Store(true)
	resp.Body = &released{resp.Body, cancel}
	return resp, nil
}

// released frees what watched over an answer once its body is closed.
type released struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b *released) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
