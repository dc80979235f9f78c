package registryserver

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// bulkyFrom is the size from which a manifest that is pushed is looked at in turn:
	// taking it apart takes ten times its size in memory. Most have a few KiB.
	bulkyFrom = 64 << 10
	// bulkyAtOnce is how many requests hold manifests or lists that may be large at the
	// same time: some hundred MiB together.
	bulkyAtOnce = 8
	// bulkyWait is how long a request waits for its turn.
	bulkyWait = 30 * time.Second
)

// bulky bounds how many requests at once do what takes much memory: manifests may have
// 4 MiB, and hundreds of requests are answered at once. Nobody has a turn while he
// waits for a client or another registry.
type bulky struct{ *semaphore.Weighted }

func newBulky() bulky { return bulky{semaphore.NewWeighted(bulkyAtOnce)} }

// take waits for a turn; leave gives it back. It is an answer that too many wait, or
// ctx's error.
func (b bulky) take(ctx context.Context) (leave func(), err error) {
	wait, cancel := context.WithTimeout(ctx, bulkyWait)
	defer cancel()
	if b.Acquire(wait, 1) != nil {
		return nil, cmp.Or(context.Cause(ctx),
			refuse(http.StatusTooManyRequests, codeTooManyRequests, "too many large manifests and lists are asked for at once"))
	}
	return func() { b.Release(1) }, nil
}

// takeFor is take for what has size bytes; small things need no turn.
func (b bulky) takeFor(ctx context.Context, size int) (leave func(), err error) {
	if size < bulkyFrom {
		return func() {}, nil
	}
	return b.take(ctx)
}
