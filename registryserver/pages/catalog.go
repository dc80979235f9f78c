package pages

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
)

// repository is one repository of the store, with its names.
type repository struct {
	ref     oci.Reference // host and repository
	path    string        // where the registry serves it, "" for nowhere
	entries []entry       // newest change first
}

// entry is a name that stands for a manifest.
type entry struct {
	tag       string // "" for a name by digest
	mediaType string
	digest    oci.Digest
	size      int64
	seq       int64
	updated   time.Time
}

func (e entry) descriptor() oci.Descriptor {
	return oci.Descriptor{MediaType: e.mediaType, Digest: e.digest, Size: e.size}
}

// suffix is what follows a repository's path in the address of e.
func (e entry) suffix() string {
	if e.tag != "" {
		return ":" + e.tag
	}
	return "@" + e.digest.String()
}

// snapshot is the list of all names at one time. It is not changed.
type snapshot struct {
	repos []*repository // as compareRepositories has it
	paths map[string][]*repository
}

// catalog keeps a snapshot for a moment, since it comes from a scan of all names.
// One request at a time scans, and the others go on with what there is.
type catalog struct {
	lib    content.NameReader
	prefix string

	scanning sync.Mutex // comes before mu

	mu    sync.Mutex
	last  *snapshot
	until time.Time
}

const (
	// catalogAge is how long a snapshot is trusted.
	catalogAge = time.Second
	// catalogRest is how many times as long as its scan took a snapshot is trusted at
	// least: scans take no more than that part of a processor.
	catalogRest = 4
)

func (c *catalog) snapshot(ctx context.Context) (*snapshot, error) {
	last, fresh := c.kept()
	if fresh {
		return last, nil
	}
	if last == nil {
		c.scanning.Lock()
	} else if !c.scanning.TryLock() {
		return last, nil
	}
	defer c.scanning.Unlock()
	if last, fresh := c.kept(); fresh {
		return last, nil // of whom this request has waited for
	}
	start := time.Now()
	s, err := scan(ctx, c.lib, c.prefix)
	if err != nil {
		return nil, err
	}
	end := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last, c.until = s, end.Add(max(catalogAge, catalogRest*end.Sub(start)))
	return s, nil
}

// kept is the last snapshot, if there is one, and whether it is still trusted.
func (c *catalog) kept() (last *snapshot, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last, c.last != nil && time.Now().Before(c.until)
}

// scan reads all names. Those that stand for no manifest are not the registry's.
func scan(ctx context.Context, lib content.NameReader, prefix string) (*snapshot, error) {
	byName, mediaTypes := map[string]*repository{}, map[string]string{}
	s := &snapshot{paths: map[string][]*repository{}}
	for n, err := range lib.Names(ctx, "") {
		if err != nil {
			return nil, err
		}
		if !oci.HasSuccessors(n.Target.MediaType) {
			continue
		}
		repo := byName[n.Reference.Name()]
		if repo == nil {
			ref := oci.Reference{Registry: n.Reference.Registry, Repository: n.Reference.Repository}
			repo = &repository{ref: ref, path: registryserver.PathOf(ref, prefix)}
			byName[ref.Name()] = repo
			s.repos = append(s.repos, repo)
			s.paths[repo.path] = append(s.paths[repo.path], repo)
		}
		// Thousands of names share few types.
		mediaType, ok := mediaTypes[n.Target.MediaType]
		if !ok {
			mediaType = n.Target.MediaType
			mediaTypes[mediaType] = mediaType
		}
		repo.entries = append(repo.entries, entry{
			n.Reference.Tag, mediaType, n.Target.Digest, n.Target.Size, n.Seq, n.UpdatedAt,
		})
	}
	delete(s.paths, "")
	for _, repo := range s.repos {
		slices.SortFunc(repo.entries, func(a, b entry) int { return newerFirst(&a, &b) })
	}
	slices.SortFunc(s.repos, func(a, b *repository) int { return compareRepositories(prefix, a.ref, b.ref) })
	return s, nil
}

// newerFirst orders names that changed together by themselves.
func newerFirst(a, b *entry) int {
	if a.seq != b.seq {
		return cmp.Compare(b.seq, a.seq)
	}
	if a.tag != b.tag || a.tag != "" {
		return strings.Compare(a.tag, b.tag)
	}
	return strings.Compare(a.digest.String(), b.digest.String())
}

// compareRepositories puts the server's own host first.
func compareRepositories(prefix string, a, b oci.Reference) int {
	own := func(r oci.Reference) int {
		if r.Registry == prefix {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(own(a), own(b)), strings.Compare(a.Registry, b.Registry), strings.Compare(a.Repository, b.Repository))
}

// repositories are those that the visitor may see.
func (s *site) repositories(r *http.Request) ([]*repository, error) {
	all, err := s.catalog.snapshot(r.Context())
	if err != nil {
		return nil, err
	}
	if visitorOf(r).May == nil {
		return all.repos, nil
	}
	var seen []*repository
	for _, repo := range all.repos {
		if may(r, repo) {
			seen = append(seen, repo)
		}
	}
	return seen, nil
}
