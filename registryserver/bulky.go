package registryserver

import (
	"context"
	"net/http"
	"time"
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
type bulky chan struct{}

// take waits for a turn; leave gives it back. It is an answer that too many wait, or
// ctx's error.
func (b bulky) take(ctx context.Context) (leave func(), err error) {
	limit := time.NewTimer(bulkyWait)
	defer limit.Stop()
	select {
	case b <- struct{}{}:
		return func() { <-b }, nil
	case <-limit.C:
		return nil, refuse(http.StatusTooManyRequests, codeTooManyRequests, "too many large manifests and lists are asked for at once")
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// takeFor is take for what has size bytes; small things need no turn.
func (b bulky) takeFor(ctx context.Context, size int) (leave func(), err error) {
	if size < bulkyFrom {
		return func() {}, nil
	}
	return b.take(ctx)
}
