package mirror

import (
	"context"
	"iter"
	"sync"

	"dist.example/content"
	"dist.example/oci"
)

// Store is what a mirror keeps things in.
type Store interface {
	content.Store
	content.Repositories
}

// WithRepositories is store, if it knows which repository has what; else the process
// knows it for the store, and the next one asks again.
func WithRepositories(store content.Store) Store {
	if s, ok := store.(Store); ok {
		return s
	}
	return &remembering{Store: store, in: map[string]bool{}}
}

// remembering remembers what is in which repository.
type remembering struct {
	content.Store
	mu sync.Mutex
	in map[string]bool // by repository@digest
}

// InRepository implements content.RepositoryReader.
func (r *remembering) InRepository(_ context.Context, repo string, digests ...oci.Digest) ([]bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := make([]bool, len(digests))
	for i, d := range digests {
		in[i] = r.in[repo+"@"+d.String()]
	}
	return in, nil
}

// RepositoriesOf implements content.RepositoryReader; nobody here asks.
func (r *remembering) RepositoriesOf(context.Context, oci.Digest) iter.Seq2[string, error] {
	return func(func(string, error) bool) {}
}

// Include implements content.Repositories.
func (r *remembering) Include(ctx context.Context, repo string, _ content.Membership, digests ...oci.Digest) error {
	for _, d := range digests {
		if _, err := r.Info(ctx, d); err != nil {
			return err
		}
	}
	return r.set(repo, true, digests)
}

// Exclude implements content.Repositories.
func (r *remembering) Exclude(_ context.Context, repo string, digests ...oci.Digest) error {
	return r.set(repo, false, digests)
}

func (r *remembering) set(repo string, in bool, digests []oci.Digest) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range digests {
		r.in[repo+"@"+d.String()] = in
	}
	return nil
}
