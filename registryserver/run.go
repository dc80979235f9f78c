package registryserver

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Run says how Serve runs. The zero value speaks plain HTTP, and drains for
// DefaultDrain.
type Run struct {
	// Certificates are what clients are shown; nil stands for HTTP without TLS. With
	// them HTTP/2 is spoken too.
	Certificates *Certificates
	// Drain is how long requests under way may go on once ctx has ended; 0 is
	// DefaultDrain, and a negative one cuts them off at once.
	Drain time.Duration
	// Log and Warn are told what is wrong with connections, the latter where there
	// is no log, and only what concerns them all. Both may be nil.
	Log  *slog.Logger
	Warn func(string)
}

// DefaultDrain is less than what process managers wait before they kill. Transfers
// that take longer are resumed by their clients.
const DefaultDrain = 5 * time.Second

const (
	headerTimeout = 10 * time.Second // also of TLS handshakes
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
	maxStreams    = 128 // requests at once on one connection of HTTP/2
	pingAfter     = 30 * time.Second
	pingTimeout   = 15 * time.Second
	cutOffTime    = 5 * time.Second // for handlers to see that their connection is gone
)

// Serve answers requests on ln with h until ctx ends, then lets those under way
// finish (see Run.Drain) and closes ln. Requests that it cuts off are cancelled, and
// it waits a little for their handlers, so that what h works on can be closed. It
// returns nil after ctx has ended.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, run Run) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	srv := run.server(base, h)
	s, _ := h.(*server)
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		if s != nil {
			s.draining.Store(true)
		}
		run.shutDown(srv, cancel)
		if s != nil {
			s.empty()
		}
	})
	err := run.accept(srv, ln)
	if stop() {
		return err // ctx has not ended: the listener broke
	}
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (run Run) server(base context.Context, h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          errorLog(run.Log, run.Warn),
		BaseContext:       func(net.Listener) context.Context { return base },
		// The bytes of a stream are bounded by the handler's deadlines, which move;
		// these are about connections whose other end is gone.
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: pingTimeout, WriteByteTimeout: stall,
		},
	}
}

func (run Run) accept(srv *http.Server, ln net.Listener) error {
	if run.Certificates == nil {
		return srv.Serve(ln)
	}
	srv.TLSConfig = &tls.Config{GetConfigForClient: run.Certificates.forClient, MinVersion: tls.VersionTLS12}
	return srv.ServeTLS(ln, "", "")
}

// shutDown takes no new connection, waits for what is under way, and cuts off what is
// left of it.
func (run Run) shutDown(srv *http.Server, cancel func()) {
	drain := run.Drain
	if drain == 0 {
		drain = DefaultDrain
	}
	ctx, done := context.WithTimeout(context.Background(), max(drain, 0))
	defer done()
	if srv.Shutdown(ctx) != nil {
		cancel()
		_ = srv.Close()
	}
}

// empty waits until no handler is at work. Their connections are gone, which most of
// them notice at once.
func (s *server) empty() {
	end := time.NewTimer(cutOffTime)
	defer end.Stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for s.metrics.inFlight.Load() > 0 {
		select {
		case <-end.C:
			return
		case <-look.C:
		}
	}
}
