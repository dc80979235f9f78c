package memory

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// membership says what a repository has to do with a digest, beside names and what
// refers to it.
type membership int

const (
	pushed    membership = iota + 1 // when something that it refers to was not there
	whole                           // pushed, when all of that was there
	mirrored                        // as content.Mirrored
	excluded                        // and never included there
	withdrawn                       // excluded after it had been included
)

func (m membership) included() bool { return m == pushed || m == whole || m == mirrored }

// InRepository implements content.RepositoryReader.
func (s *Store) InRepository(ctx context.Context, repo string, digests ...oci.Digest) ([]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("look into %s: %w", repo, err)
	}
	in := make([]bool, len(digests))
	for i, d := range digests {
		in[i] = s.inRepository(repo, d, false)
	}
	return in, nil
}

// AnyIncluded says whether something that is held was included in repo.
func (s *Store) AnyIncluded(ctx context.Context, repo string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for d, in := range s.members {
		if s.objects[d] != nil && in[repo].included() {
			return true, nil
		}
	}
	return false, ctx.Err()
}

// step is a digest that a walk upwards has come to. firm says that being pushed is
// not enough there: it has to vouch for what is below.
type step struct {
	digest oci.Digest
	firm   bool
}

// inRepository walks upwards from d to what makes it a part of repo. The store's
// lock is held.
func (s *Store) inRepository(repo string, d oci.Digest, firm bool) bool {
	if s.objects[d] == nil || firm && s.members[d][repo] == pushed {
		return false
	}
	named := s.named(repo)
	todo, seen := []step{{d, firm}}, map[step]bool{{d, firm}: true}
	for ; len(todo) > 0; todo = todo[1:] {
		at := todo[0]
		m := s.members[at.digest][repo]
		if named[at.digest] || m == mirrored || m.included() && !at.firm {
			return true
		}
		for _, next := range s.above(repo, at.digest) {
			if !seen[next] {
				seen[next] = true
				todo = append(todo, next)
			}
		}
	}
	return false
}

// named are the digests that names of repo stand for.
func (s *Store) named(repo string) map[oci.Digest]bool {
	found := map[oci.Digest]bool{}
	for key, n := range s.names {
		if inRepository(key, repo) {
			found[n.Target.Digest] = true
		}
	}
	return found
}

// inRepository says whether a name, in full, is one of repo.
func inRepository(name, repo string) bool {
	return strings.HasPrefix(name, repo) && strings.IndexAny(name[len(repo):], ":@") == 0
}

// above are the parents of d that may vouch for it, and its subject if it goes with
// that.
func (s *Store) above(repo string, d oci.Digest) []step {
	var steps []step
	for p := range s.parents[d] {
		if s.members[p][repo] != pushed {
			steps = append(steps, step{p, true})
		}
	}
	for other, m := range s.members[d] {
		if m != excluded || other == repo {
			return steps
		}
	}
	for _, e := range s.objects[d].edges {
		if e.Role == oci.RoleSubject && s.objects[e.Digest] != nil {
			steps = append(steps, step{e.Digest, false})
		}
	}
	return steps
}

// RepositoriesOf implements content.RepositoryReader.
func (s *Store) RepositoriesOf(ctx context.Context, d oci.Digest) iter.Seq2[string, error] {
	return list(ctx, func() []string {
		found, seen := []string{}, map[oci.Digest]bool{}
		for todo := []oci.Digest{d}; len(todo) > 0; todo = todo[1:] {
			at := todo[0]
			if seen[at] || s.objects[at] == nil {
				continue
			}
			seen[at] = true
			for repo, m := range s.members[at] {
				if m.included() && !slices.Contains(found, repo) {
					found = append(found, repo)
				}
			}
			todo = append(todo, s.holders(at)...)
		}
		for _, n := range s.names {
			if repo := n.Reference.Name(); seen[n.Target.Digest] && !slices.Contains(found, repo) {
				found = append(found, repo)
			}
		}
		return found
	}, &s.mu)
}

// Include implements content.Repositories.
func (s *Store) Include(ctx context.Context, repo string, how content.Membership, digests ...oci.Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("include in %s: %w", repo, err)
	}
	if how != content.Pushed && how != content.Mirrored {
		return fmt.Errorf("include in %s: %w: membership %d", repo, content.ErrInvalid, how)
	}
	for _, d := range digests {
		if s.objects[d] == nil {
			return fmt.Errorf("include %s: %w", d, content.ErrNotFound)
		}
	}
	for _, d := range digests {
		if how == content.Mirrored {
			s.setMember(repo, d, mirrored)
		} else {
			s.push(repo, d)
		}
	}
	return nil
}

// push includes d, which is held, in repo as pushed; "" is no repository. It takes
// nothing from what was there: who vouches already goes on to.
func (s *Store) push(repo string, d oci.Digest) {
	if repo == "" || s.members[d][repo] == mirrored {
		return
	}
	m := pushed
	if edges := s.objects[d].edges; len(edges) > 0 && (s.inRepository(repo, d, true) || s.haveAll(repo, edges)) {
		m = whole
	}
	s.setMember(repo, d, m)
}

// haveAll says whether repo has everything that is referred to.
func (s *Store) haveAll(repo string, edges []oci.Edge) bool {
	return !slices.ContainsFunc(edges, func(e oci.Edge) bool {
		return e.Role != oci.RoleSubject && !s.inRepository(repo, e.Digest, false)
	})
}

func (s *Store) setMember(repo string, d oci.Digest, m membership) {
	if s.members[d] == nil {
		s.members[d] = map[string]membership{}
	}
	s.members[d][repo] = m
}

// Exclude implements content.Repositories.
func (s *Store) Exclude(ctx context.Context, repo string, digests ...oci.Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("exclude from %s: %w", repo, err)
	}
	// The changes are made to copies, which are put back if one is still there.
	names, members := s.names, s.members
	s.names, s.members = maps.Clone(s.names), maps.Clone(s.members)
	for _, d := range digests {
		s.exclude(repo, d)
	}
	for _, d := range digests {
		if s.inRepository(repo, d, false) {
			s.names, s.members = names, members
			return fmt.Errorf("exclude %s from %s: %w: something there refers to it", d, repo, content.ErrConflict)
		}
	}
	return nil
}

// exclude takes d and its names out of repo.
func (s *Store) exclude(repo string, d oci.Digest) {
	if s.objects[d] == nil {
		return
	}
	m := excluded
	if was := s.members[d][repo]; was != 0 && was != excluded {
		m = withdrawn
	}
	s.members[d] = maps.Clone(s.members[d])
	s.setMember(repo, d, m)
	maps.DeleteFunc(s.names, func(key string, n content.Name) bool {
		return n.Target.Digest == d && inRepository(key, repo)
	})
	s.seq++
}
