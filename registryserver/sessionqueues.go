package registryserver

import (
	"context"
	"sync"
)

// sessionQueues let one request after the other have an upload session: who cancels
// it right after he has broken off a request would else find that one still at work,
// or see it begin the session again.
type sessionQueues struct {
	mu    sync.Mutex
	taken map[string]chan struct{} // closed when it is free
}

// take waits until nobody has the session. leave gives it to the next one. The error
// is ctx's.
func (q *sessionQueues) take(ctx context.Context, session string) (leave func(), err error) {
	for {
		busy := q.tryTake(session)
		if busy == nil {
			return func() { q.leave(session) }, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tryTake takes the session, or returns what is closed when it is free.
func (q *sessionQueues) tryTake(session string) (busy <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if busy, ok := q.taken[session]; ok {
		return busy
	}
	if q.taken == nil {
		q.taken = map[string]chan struct{}{}
	}
	q.taken[session] = make(chan struct{})
	return nil
}

func (q *sessionQueues) leave(session string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	close(q.taken[session])
	delete(q.taken, session)
}
