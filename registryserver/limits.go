package registryserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"dist.example/content"
)

// Limits bound what clients can take of a server. A field that is 0 stands for the
// default, a negative one for no limit.
type Limits struct {
	// Blob is how many bytes a pushed blob may have; there is no limit by default.
	Blob int64
	// Uploads is how many upload sessions may be open, those from before a restart
	// included; DefaultUploads by default.
	Uploads int
	// Requests is how many requests are answered at once; DefaultRequests by default.
	Requests int
}

// The limits that Limits has by default.
const (
	DefaultUploads  = 1000
	DefaultRequests = 512
)

func (l Limits) withDefaults() Limits {
	if l.Uploads == 0 {
		l.Uploads = DefaultUploads
	}
	if l.Requests == 0 {
		l.Requests = DefaultRequests
	}
	return l
}

// enter admits one more request; leave is called when it is over. What watches the
// server is always let in: it has to see that the server is busy.
func (s *server) enter(kind Kind) error {
	n := s.metrics.inFlight.Add(1)
	if limit := s.o.Limits.Requests; limit > 0 && n > int64(limit) && kind != kindHealth && kind != kindMetrics {
		s.metrics.refusedRequests.Add(1)
		return refuse(http.StatusTooManyRequests, codeTooManyRequests, "the server is answering %d requests, which is its limit", limit)
	}
	return nil
}

func (s *server) leave() { s.metrics.inFlight.Add(-1) }

func (s *server) tooLarge() error {
	return refuse(http.StatusRequestEntityTooLarge, codeSizeInvalid, "blobs may have %d bytes at most", s.o.Limits.Blob)
}

// bounded is the body of a request that goes on with a blob at offset. A length that
// is known and too large is an error at once, any other when it is reached.
func (s *server) bounded(body io.Reader, offset, length int64) (io.Reader, error) {
	limit := s.o.Limits.Blob
	if limit <= 0 {
		return body, nil
	}
	if length > limit-offset {
		return nil, s.tooLarge()
	}
	return &boundedReader{body, limit - offset, s.tooLarge()}, nil
}

// boundedReader reports over in place of the byte after the left ones.
type boundedReader struct {
	r    io.Reader
	left int64
	over error
}

// Read implements io.Reader.
func (b *boundedReader) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		b.left = 0
		return n - 1, b.over
	}
	return n, err
}

// giveUp drops the session of an upload that err says has become too large: no
// request can finish it. The others are left to be gone on with.
func (s *server) giveUp(ctx context.Context, at route, err error) {
	var p *problem
	if errors.As(err, &p) && p.status == http.StatusRequestEntityTooLarge {
		s.metrics.refusedBlobs.Add(1)
		s.abort(ctx, at)
	}
}

// tooMany says in w that err is not over in a moment.
func (s *server) tooMany(w http.ResponseWriter, err error) error {
	var p *problem
	if errors.As(err, &p) {
		s.metrics.refusedUploads.Add(1)
		w.Header().Set("Retry-After", "10")
	}
	return err
}

const (
	// countPause is how often the store is asked for sessions when the limit is
	// reached, and countAge how old the number may be that /metrics shows.
	countPause = time.Second
	countAge   = 10 * time.Second
)

// sessions keeps the number of open upload sessions. The truth is in the store, where
// other processes and garbage collection end some too; it is asked at the first
// need, and again before anybody is refused. In between the number may be too high.
type sessions struct {
	store content.IngestManager
	fresh *freshSessions // those that are in memory
	limit int
	// forgotten is after how long nobody comes back to a session: the last lease of
	// its content has ended by then.
	forgotten time.Duration

	mu       sync.Mutex
	open     int
	starting int // those of open that neither the store nor fresh may know yet
	asOf     time.Time
}

// begin counts one more session, or is the error that there are too many. known is
// called once the store or fresh knows of it, or it has come to nothing.
func (s *sessions) begin(ctx context.Context) (known func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asOf.IsZero() || s.full() && time.Since(s.asOf) >= countPause {
		if err := s.recount(ctx); err != nil {
			return nil, err
		}
	}
	if s.full() {
		return nil, refuse(http.StatusTooManyRequests, codeTooManyRequests, "%d uploads are open, which is the limit", s.limit)
	}
	s.open++
	s.starting++
	return s.known, nil
}

func (s *sessions) full() bool { return s.limit > 0 && s.open >= s.limit }

func (s *sessions) known() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starting--
}

// end counts one session less.
func (s *sessions) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = max(s.open-1, 0)
}

// count is how many sessions are open, as of some time within age.
func (s *sessions) count(ctx context.Context, age time.Duration) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asOf.IsZero() || time.Since(s.asOf) >= age {
		if err := s.recount(ctx); err != nil {
			return 0, err
		}
	}
	return s.open, nil
}

// recount asks the store. Where there is no room left, sessions make it that nobody
// has touched since before the last lease of theirs can have ended.
func (s *sessions) recount(ctx context.Context) error {
	open := s.starting + s.fresh.recent()
	var forgotten []string
	for st, err := range s.store.Active(ctx) {
		switch {
		case err != nil:
			return err
		case !strings.HasPrefix(st.Key, keyPrefix):
			continue
		case !st.Live && time.Since(st.UpdatedAt) > s.forgotten:
			forgotten = append(forgotten, st.Key)
		}
		open++
	}
	for _, key := range forgotten {
		if s.limit > 0 && open >= s.limit && s.store.Abort(ctx, key) == nil {
			open--
		}
	}
	s.open, s.asOf = open, time.Now()
	return nil
}
