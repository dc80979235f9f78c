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
	"dist.example/oci"
)

const healthPath = "/healthz"

const (
	// healthAge is how long an answer of the store is good for.
	healthAge = time.Second
	// healthWait is how long the store may take for it.
	healthWait = 2 * time.Second
)

var errSlow = errors.New("the store does not answer")

// health asks the store now and then whether it answers.
type health struct {
	store content.InfoReader

	mu    sync.Mutex
	asOf  time.Time
	err   error
	probe chan struct{} // closed by the question that is under way; nil without one
}

// check is nil when the store has answered a moment ago. However many ask, the store
// is asked once, and a question that it never answers stays the only one.
func (h *health) check(ctx context.Context) error {
	h.mu.Lock()
	if h.probe == nil && !h.asOf.IsZero() && time.Since(h.asOf) < healthAge {
		defer h.mu.Unlock()
		return h.err
	}
	if h.probe == nil {
		h.probe = make(chan struct{})
		go h.ask(context.WithoutCancel(ctx), h.probe)
	}
	probe := h.probe
	h.mu.Unlock()
	wait := time.NewTimer(healthWait)
	defer wait.Stop()
	select {
	case <-probe:
	case <-wait.C:
		return errSlow
	case <-ctx.Done():
		return ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// ask looks for content that may or may not be there.
func (h *health) ask(ctx context.Context, done chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, healthWait)
	defer cancel()
	_, err := h.store.Info(ctx, oci.DigestBytes(nil))
	if errors.Is(err, content.ErrNotFound) {
		err = nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asOf, h.err, h.probe = time.Now(), err, nil
	close(done)
}

// healthz answers GET /healthz: 200 when requests can be answered, else 503. Why they
// cannot is in the log.
func (s *server) healthz(w *recorder, r *http.Request) {
	status, text := http.StatusOK, "ok"
	if err := s.health.check(r.Context()); err != nil {
		status, text = http.StatusServiceUnavailable, "the store does not answer"
		w.cause = err
	} else if s.draining.Load() {
		status, text = http.StatusServiceUnavailable, "shutting down"
	}
	w.Header().Set("Cache-Control", "no-store")
	if strings.Contains(r.Header.Get("Accept"), oci.MediaTypeJSON) {
		w.Header().Set("Content-Type", oci.MediaTypeJSON)
		text = `{"status":"` + text + `"}`
	} else {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}
