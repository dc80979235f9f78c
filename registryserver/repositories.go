package registryserver

import (
	"context"
	"errors"
	"iter"
	"net/http"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver/access"
)

// has says of each digest whether it is held and in the repository at path. Whoever
// asks for what is not is told the same as for what nobody has.
func (s *server) has(ctx context.Context, path string, digests ...oci.Digest) ([]bool, error) {
	repo, err := s.names.repository(ctx, path)
	if err != nil {
		return nil, err
	}
	return s.lib.InRepository(ctx, repo.Name(), digests...)
}

// hasOne is has for the digest of a path.
func (s *server) hasOne(ctx context.Context, at route) (bool, error) {
	in, err := s.has(ctx, at.name, at.digest)
	return err == nil && in[0], err
}

// maxMountable bounds the repositories that are looked into for a blob that is to be
// mounted from anywhere.
const maxMountable = 100

// mountable says whether the client could read a blob in the repository that it
// names, or in any when it names none.
func (s *server) mountable(r *http.Request, at route) (bool, error) {
	if q := r.URL.Query(); q.Has("from") {
		return s.mountableFrom(r, q.Get("from"), at.digest)
	}
	if in, err := s.mountableFrom(r, at.name, at.digest); in || err != nil {
		return in, err
	}
	tried := 0
	for name, err := range s.lib.RepositoriesOf(r.Context(), at.digest) {
		if err != nil || tried == maxMountable {
			return false, err
		}
		tried++
		repo, err := oci.ParseRepository(name)
		if err != nil || !visitorOf(r).May(access.Pull, repo) {
			continue
		}
		if in, err := s.lib.InRepository(r.Context(), repo.Name(), at.digest); err != nil || in[0] {
			return err == nil, err
		}
	}
	return false, nil
}

// mountableFrom says whether the client could read d in the repository at path. A
// path that stands for none, or for several, has nothing to mount.
func (s *server) mountableFrom(r *http.Request, path string, d oci.Digest) (bool, error) {
	if !validName(path) {
		return false, nil
	}
	repo, err := s.names.repository(r.Context(), path)
	if p := (*problem)(nil); errors.As(err, &p) || err == nil && !visitorOf(r).May(access.Pull, repo) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	in, err := s.lib.InRepository(r.Context(), repo.Name(), d)
	return err == nil && in[0], err
}

// someReferrers is how many descriptors are gathered for one question to the store.
// Each may have megabytes of annotations.
const someReferrers = 20

// those are the descriptors of all that are in the repository at path.
func (s *server) those(ctx context.Context, path string, all iter.Seq2[oci.Descriptor, error]) iter.Seq2[oci.Descriptor, error] {
	return func(yield func(oci.Descriptor, error) bool) {
		var some []oci.Descriptor
		for d, err := range all {
			if err != nil {
				yield(d, err)
				return
			}
			if some = append(some, d); len(some) < someReferrers {
				continue
			}
			if !s.pass(ctx, path, some, yield) {
				return
			}
			some = some[:0]
		}
		s.pass(ctx, path, some, yield)
	}
}

// pass yields those of some that are in the repository at path, and says whether
// more is wanted.
func (s *server) pass(ctx context.Context, path string, some []oci.Descriptor, yield func(oci.Descriptor, error) bool) bool {
	digests := make([]oci.Digest, len(some))
	for i, d := range some {
		digests[i] = d.Digest
	}
	in, err := s.has(ctx, path, digests...)
	if err != nil {
		yield(oci.Descriptor{}, err)
		return false
	}
	for i, d := range some {
		if in[i] && !yield(d, nil) {
			return false
		}
	}
	return true
}

// remove takes the digest of a path, and the tags that stand for it, out of the
// repository, and gives up what nobody else has.
func (s *server) remove(ctx context.Context, at route) error {
	repo, err := s.names.repository(ctx, at.name)
	if err != nil {
		return err
	}
	err = s.store.Exclude(ctx, repo.Name(), at.digest)
	if conflicts(err) {
		// 409 would be the word for it; but of a deletion that is refused
		// distribution-spec knows 400 and 405 alone, and so do clients.
		return refuse(http.StatusMethodNotAllowed, codeDenied,
			"something in %s refers to %s: delete the tags and manifests that do so first", at.name, at.digest)
	}
	if err != nil {
		return err
	}
	return s.reclaim(ctx, at.digest)
}

// reclaim deletes d from the store if it is in no repository any more and nothing
// else holds it. What does is no matter of the client's.
func (s *server) reclaim(ctx context.Context, d oci.Digest) error {
	for _, err := range s.store.RepositoriesOf(ctx, d) {
		return err
	}
	if err := s.leases.letGo(ctx, d); err != nil {
		return err
	}
	if err := s.store.Delete(ctx, d); !errors.Is(err, content.ErrConflict) {
		return err
	}
	return nil
}
