package registryclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	// maxPause bounds the pause between two tries that the client chooses itself.
	maxPause = 8 * time.Second
	// maxRetryAfter is the longest pause that a registry can ask for and get; one
	// that asks for more is unavailable.
	maxRetryAfter = time.Minute
	// refusedTries bounds tries at a host that takes no connections, which seldom
	// changes within seconds.
	refusedTries = 2
)

// tries counts what failed in a row.
type tries struct {
	client *Client
	host   string // whom it is about, and what, for whoever waits
	what   string
	mirror bool // somebody else can be asked: one try is enough
	failed int
}

// tries begins to count for what e is asked.
func (r *Repository) tries(e *endpoint, what string) tries {
	return tries{client: r.client, host: e.host(), what: what, mirror: e.mirror}
}

// reset begins a new row: something worked.
func (t *tries) reset() { t.failed = 0 }

// again waits before the next try and says whether there is to be one. after is
// what the registry asked for, 0 for nothing. The error is ctx's.
func (t *tries) again(ctx context.Context, cause error, after time.Duration) (bool, error) {
	limit := max(t.client.opts.Retries, 0)
	if t.mirror {
		limit = 0
	}
	if cause != nil && refused(cause) {
		limit = min(limit, refusedTries)
	}
	if t.failed >= limit || after > maxRetryAfter || (cause != nil && fatalConn(cause)) {
		return false, nil
	}
	pause := min(t.client.opts.RetryBase<<t.failed, maxPause)
	pause = pause/2 + rand.N(pause/2+1) //nolint:gosec // jitter
	t.failed++
	return true, t.sleep(ctx, max(pause, after))
}

func (t *tries) sleep(ctx context.Context, d time.Duration) error {
	w := &watch{client: t.client, host: t.host, what: t.what}
	w.begin("a pause before the next try", d)
	defer w.end()
	over := time.NewTimer(d)
	defer over.Stop()
	select {
	case <-over.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func isCertificate(err error) bool {
	var (
		verify    *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
	)
	return errors.As(err, &verify) || errors.As(err, &authority) || errors.As(err, &host)
}
