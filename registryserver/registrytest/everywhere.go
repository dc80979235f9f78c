package registrytest

import (
	"context"
	"sync"

	"dist.example/content"
	"dist.example/oci"
)

// everywhere is a store in which what was seeded without a path is in every
// repository: a test that stores a blob asks for it wherever it likes.
type everywhere struct {
	content.Store

	mu     sync.Mutex
	seeded map[oci.Digest]bool
}

func (e *everywhere) seed(d oci.Digest) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seeded[d] = true
}

// InRepository implements content.RepositoryReader.
func (e *everywhere) InRepository(ctx context.Context, repo string, digests ...oci.Digest) ([]bool, error) {
	in, err := e.Store.InRepository(ctx, repo, digests...)
	if err != nil {
		return nil, err
	}
	for i, d := range digests {
		if e.mu.Lock(); !in[i] && e.seeded[d] {
			_, err := e.Info(ctx, d)
			in[i] = err == nil
		}
		e.mu.Unlock()
	}
	return in, nil
}

// Exclude implements content.Repositories.
func (e *everywhere) Exclude(ctx context.Context, repo string, digests ...oci.Digest) error {
	err := e.Store.Exclude(ctx, repo, digests...)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, d := range digests {
		if err == nil {
			delete(e.seeded, d)
		}
	}
	return err
}
