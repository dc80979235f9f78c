package registryserver

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// longest is how much of what a client chose goes into the log.
const longest = 512

// done logs and counts a request that is over.
func (s *server) done(rec *recorder, r *http.Request, kind Kind) {
	if r.Method == http.MethodHead {
		rec.sent = 0 // what was written is left out by net/http
	}
	if rec.status == 0 {
		rec.status = http.StatusOK // net/http's answer when there was none
	}
	took := time.Since(rec.start)
	s.metrics.count(kind, r.Method, rec.status, took)
	s.metrics.sent.Add(rec.sent)
	s.metrics.received.Add(rec.body.n)
	if s.o.Log == nil {
		return
	}
	level := slog.LevelInfo
	switch {
	case rec.status >= http.StatusInternalServerError:
		level = slog.LevelError
	case kind == kindHealth, kind == kindMetrics:
		level = slog.LevelDebug // every few seconds, and all alike
	}
	if s.o.Log.Enabled(r.Context(), level) {
		s.o.Log.LogAttrs(r.Context(), level, "request", record(rec, r, took)...)
	}
}

// record is what is logged of one request. Of a query only what says which content it
// is about is there: a session's state or a token never is. An empty field is left
// out.
func record(rec *recorder, r *http.Request, took time.Duration) []slog.Attr {
	attrs := append(make([]slog.Attr, 0, 16), slog.String("id", rec.id),
		slog.String("method", r.Method), slog.String("path", shortened(r.URL.Path)))
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, shortened(value)))
		}
	}
	text("query", toldQuery(r.URL))
	text("repository", RepositoryOf(r.URL.Path))
	attrs = append(attrs, slog.Int("status", rec.status), slog.Int64("received", rec.body.n), slog.Int64("bytes", rec.sent),
		slog.Duration("took", took), slog.String("from", r.RemoteAddr))
	text("user", rec.user)
	text("agent", r.UserAgent())
	if rec.broken {
		attrs = append(attrs, slog.Bool("cut", true))
	}
	if rec.cause != nil {
		text("error", rec.cause.Error())
	}
	return attrs
}

// userKey is that of a place for the user's name in the context of a request to
// Options.Pages.
type userKey struct{}

// NameUser says who has sent r, for the log. It is for Options.Pages, while it answers
// r.
func NameUser(r *http.Request, user string) {
	if at, ok := r.Context().Value(userKey{}).(*string); ok {
		*at = user
	}
}

func shortened(s string) string {
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "…"
}

// toldQuery is the part of a query that holds no secrets.
func toldQuery(u *url.URL) string {
	if u.RawQuery == "" {
		return ""
	}
	all, told := u.Query(), url.Values{}
	for _, key := range []string{"digest", "mount", "from", "n", "last", "artifactType", "ns", "tag", "service", "scope"} {
		if v, ok := all[key]; ok {
			told[key] = v
		}
	}
	return told.Encode()
}

// requestIDs gives each request a name: that of the process, and a number.
type requestIDs struct {
	process string
	last    atomic.Uint64
}

func (i *requestIDs) next() string { return i.process + strconv.FormatUint(i.last.Add(1), 10) }

// warn tells who runs the server of something that no client is told: in the log, or
// where there is none, by Options.Warn.
func (o Options) warn(text string, attrs ...slog.Attr) {
	if o.Log != nil {
		o.Log.LogAttrs(context.Background(), slog.LevelError, text, attrs...)
		return
	}
	if o.Warn != nil {
		for _, a := range attrs {
			text += fmt.Sprintf("\n%s: %s", a.Key, a.Value)
		}
		o.Warn(text)
	}
}

// recovered is deferred around every handler: a fault in one is that request's end
// and not the process's. An answer that has begun is cut off, which no client takes
// for success.
func (s *server) recovered(rec *recorder, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		rec.broken = true
		panic(p)
	}
	s.metrics.panics.Add(1)
	rec.cause = fmt.Errorf("panic: %v", p)
	s.o.warn("panic", slog.String("request", r.Method+" "+shortened(r.URL.Path)),
		slog.String("what", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
	if rec.status != 0 {
		rec.broken = true
		panic(http.ErrAbortHandler)
	}
	writeError(rec, rec.cause)
}

// errorLog takes what net/http has to say. Connections that come to nothing are
// everyday, and told only where there is a log.
func errorLog(l *slog.Logger, warn func(string)) *log.Logger {
	return log.New(&errorWriter{l, warn}, "", 0)
}

type errorWriter struct {
	log  *slog.Logger
	warn func(string)
}

// Write implements io.Writer.
func (e *errorWriter) Write(p []byte) (int, error) {
	text := strings.TrimSpace(string(p))
	switch {
	case e.log != nil:
		e.log.Warn(shortened(text))
	case e.warn != nil && !strings.Contains(text, "TLS handshake error"):
		e.warn(text)
	}
	return len(p), nil
}
