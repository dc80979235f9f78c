package registryclient

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// patience is how long a wait goes unmentioned.
const patience = 5 * time.Second

// watch bounds one wait after another, and tells of one that lasts. It is for
// waits for one host and one thing.
type watch struct {
	client  *Client
	host    string
	what    string
	expired func() // called when a wait has reached its limit; nil when somebody else ends it

	mu    sync.Mutex
	timer *time.Timer
	why   string
	began time.Time // zero when nothing is waited for
	until time.Time
	told  bool
}

// begin starts a wait of at most limit, in place of one that there was.
func (w *watch) begin(why string, limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.why, w.told = why, false
	w.began = time.Now()
	w.until = w.began.Add(limit)
	first := min(limit, w.client.patience)
	if w.timer == nil {
		w.timer = time.AfterFunc(first, w.due)
		return
	}
	w.timer.Reset(first)
}

// limit is how long the present wait may last.
func (w *watch) limit() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.until.Sub(w.began)
}

// end says that what was waited for has come.
func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began = time.Time{}
	if w.timer != nil {
		w.timer.Stop()
	}
}

// due is called when the present wait has lasted long, or too long; or for an
// earlier one, when that ended at the same moment.
func (w *watch) due() {
	w.mu.Lock()
	now := time.Now()
	if w.began.IsZero() {
		w.mu.Unlock()
		return
	}
	over := !now.Before(w.until)
	tell := !over && !w.told && now.Sub(w.began) >= w.client.patience
	w.told = w.told || tell
	msg := fmt.Sprintf("waiting for %s until %s at the latest: %s (%s)", printable(w.host, 200), w.until.Format(time.TimeOnly), w.what, w.why)
	switch {
	case over:
		w.began = time.Time{}
	case w.told:
		w.timer.Reset(w.until.Sub(now))
	default:
		w.timer.Reset(min(w.until.Sub(now), w.began.Add(w.client.patience).Sub(now)))
	}
	w.mu.Unlock()
	if tell {
		w.client.opts.Notice(msg)
	}
	if over && w.expired != nil {
		w.expired()
	}
}

// request watches over req until its answer begins, which the caller says with
// the function that is returned.
func (w *watch) request(req *http.Request, b *body) (answered func()) {
	if req.ContentLength <= 0 {
		limit := w.client.opts.StallTimeout
		if b != nil && req.Method == http.MethodPut {
			limit = w.client.thinking // the end of an upload, whose bytes went before
		}
		w.begin("no answer comes", limit)
		return w.end
	}
	u := &uploading{watch: w, body: b, last: -1}
	u.look()
	return u.stop
}

// uploading watches over a body on its way: it looks now and then how much of it
// has gone. What a slow source takes is no fault of the host's.
type uploading struct {
	watch *watch
	body  *body

	mu      sync.Mutex
	timer   *time.Timer
	last    int64
	stopped bool
}

func (u *uploading) look() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.stopped {
		return
	}
	c := u.watch.client
	switch n, reading := u.body.sent(); {
	case reading:
		u.watch.end()
		u.last = -1
	case n == u.last:
	case n == 0: // it may wait for a connection that others use
		u.watch.begin("no byte is taken", c.thinking)
		u.last = n
	case n >= u.body.size:
		u.watch.begin("no answer comes", c.thinking)
		u.last = n
	default:
		u.watch.begin("no byte is taken", c.opts.StallTimeout)
		u.last = n
	}
	const looks = 20 // within the shortest wait that matters
	next := max(min(c.patience, c.opts.StallTimeout)/looks, time.Millisecond)
	if u.timer == nil {
		u.timer = time.AfterFunc(next, u.look)
		return
	}
	u.timer.Reset(next)
}

func (u *uploading) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopped = true
	u.timer.Stop()
	u.watch.end()
}
