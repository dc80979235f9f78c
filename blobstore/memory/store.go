// Package memory is a content.Store that lives in the process's memory: for
// tests, and for programs that embed this module and want nothing on disk.
//
// It keeps every promise of content.Store but durability, and passes the same
// suite as the store on disk (contenttest.Store). All methods may be called from
// many goroutines at once. Blobs never change once they are committed, so
// readers share them without copying. Nothing is ever collected: content goes
// by Delete alone. A lease's owner is this process, so that a lease counts until
// it is released, whatever the clock says; Delete respects it.
package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// Store is a content.Store in memory. The zero value is not usable: see New.
type Store struct {
	limit int64 // bytes of blobs and ingests together, 0 for no limit

	mu      sync.Mutex // guards everything below and the fields of what it points to
	used    int64
	seq     int64
	objects map[oci.Digest]*object
	// parents has, for each digest that a held manifest mentions, the manifests
	// that do; referrers has those that name it as their subject.
	parents   map[oci.Digest]map[oci.Digest]bool
	referrers map[oci.Digest]map[oci.Digest]bool
	ingests   map[string]*ingest
	names     map[string]content.Name
	leases    map[string]*lease
	sightings map[string]content.Sighting          // by reference
	members   map[oci.Digest]map[string]membership // by repository
}

var (
	_ content.Store            = (*Store)(nil)
	_ content.AttachmentLister = (*Store)(nil)
)

// New returns an empty store without a limit.
func New() *Store { return NewLimited(0) }

// NewLimited returns an empty store that takes at most limit bytes of blobs and
// unfinished ingests together; what would go beyond is refused with ErrNoSpace.
// A limit of 0 is none.
func NewLimited(limit int64) *Store {
	return &Store{
		limit:     limit,
		objects:   map[oci.Digest]*object{},
		parents:   map[oci.Digest]map[oci.Digest]bool{},
		referrers: map[oci.Digest]map[oci.Digest]bool{},
		ingests:   map[string]*ingest{},
		names:     map[string]content.Name{},
		leases:    map[string]*lease{},
		sightings: map[string]content.Sighting{},
		members:   map[oci.Digest]map[string]membership{},
	}
}

// object is one blob; data never changes.
type object struct {
	info content.Info
	data []byte
	document
}

// ReaderAt implements content.Provider.
func (s *Store) ReaderAt(ctx context.Context, desc oci.Descriptor) (content.ReaderAt, error) {
	data, err := s.data(ctx, desc.Digest)
	if err != nil {
		return nil, err
	}
	return readerAt{bytes.NewReader(data)}, nil
}

// readerAt is bytes.Reader with the Close that content.ReaderAt asks for.
type readerAt struct{ *bytes.Reader }

func (readerAt) Close() error { return nil }

// Fetch implements content.Fetcher.
func (s *Store) Fetch(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	data, err := s.data(ctx, desc.Digest)
	if err != nil {
		return nil, err
	}
	return content.VerifyCloser(io.NopCloser(bytes.NewReader(data)), desc), nil
}

func (s *Store) data(ctx context.Context, d oci.Digest) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", d, err)
	}
	o, ok := s.objects[d]
	if !ok {
		return nil, fmt.Errorf("read %s: %w", d, content.ErrNotFound)
	}
	return o.data, nil
}

// Info implements content.Manager.
func (s *Store) Info(ctx context.Context, d oci.Digest) (content.Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return content.Info{}, fmt.Errorf("info %s: %w", d, err)
	}
	o, ok := s.objects[d]
	if !ok {
		return content.Info{}, fmt.Errorf("info %s: %w", d, content.ErrNotFound)
	}
	return o.info, nil
}

// All implements content.Manager. It lists what is held when iteration begins;
// objects of the same depth come in order of their digests.
func (s *Store) All(ctx context.Context) iter.Seq2[content.Info, error] {
	return list(ctx, func() []content.Info {
		order := s.byDepth()
		infos := make([]content.Info, len(order))
		for i, d := range order {
			infos[i] = s.objects[d].info
		}
		return infos
	}, &s.mu)
}

// list yields what snapshot returns, which runs under mu when iteration begins,
// and stops with ctx's error once ctx has ended.
func list[T any](ctx context.Context, snapshot func() []T, mu sync.Locker) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		mu.Lock()
		all := snapshot()
		mu.Unlock()
		for _, v := range all {
			if err := ctx.Err(); err != nil {
				var zero T
				yield(zero, fmt.Errorf("list: %w", err))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

// sorted returns m's values in order of key.
func sorted[K comparable, V any, O cmp.Ordered](m map[K]V, key func(V) O) []V {
	all := make([]V, 0, len(m))
	for _, v := range m {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b V) int { return cmp.Compare(key(a), key(b)) })
	return all
}

// reserve counts n more bytes, or refuses them.
func (s *Store) reserve(n int64) error {
	if s.limit > 0 && s.used+n > s.limit {
		return fmt.Errorf("%w: the store in memory is limited to %d bytes", content.ErrNoSpace, s.limit)
	}
	s.used += n
	return nil
}

// add makes data visible as d unless it is already. The store's lock is held
// and data's size is counted. What is held as an opaque blob becomes a manifest
// when it comes again as one.
func (s *Store) add(d oci.Digest, mediaType string, data []byte, doc document) content.Info {
	o, ok := s.objects[d]
	switch {
	case !ok:
		o = &object{data: data, document: doc, info: content.Info{
			Digest: d, Size: int64(len(data)), MediaType: mediaType,
			Stored: int64(len(data)), Place: "memory", Committed: time.Now(),
		}}
		s.objects[d] = o
	case !oci.HasSuccessors(o.info.MediaType) && oci.HasSuccessors(mediaType):
		s.used -= int64(len(data))
		o.info.MediaType, o.document = mediaType, doc
	default:
		s.used -= int64(len(data))
		return o.info
	}
	s.link(d, o.edges)
	return o.info
}
