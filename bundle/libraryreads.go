package bundle

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// lookup finds what is known of d.
func (l *Library) lookup(ctx context.Context, d oci.Digest) (*view, *node, error) {
	v, err := l.view(ctx)
	if err != nil {
		return nil, nil, err
	}
	n := v.nodes[d]
	if n == nil {
		return nil, nil, fmt.Errorf("%s in %s: %w", d, l.path, content.ErrNotFound)
	}
	return v, n, nil
}

// Info implements content.InfoReader. Committed is when the archive or the list of
// the layout was last written.
func (l *Library) Info(ctx context.Context, d oci.Digest) (content.Info, error) {
	v, n, err := l.lookup(ctx, d)
	if err != nil {
		return content.Info{}, err
	}
	size, err := v.shelf.size(d)
	if err != nil && !isAny(err, content.ErrCorrupt, content.ErrUnsupported) {
		return content.Info{}, fmt.Errorf("%s: %w", l.path, err)
	}
	info := content.Info{Digest: d, Size: n.size, MediaType: n.mediaType, Stored: size, Place: "loose", Committed: v.written}
	if n.damaged || err != nil || size != n.size {
		info.Place = "damaged"
	}
	return info, nil
}

// ReaderAt implements content.Provider. What is a manifest has been verified. Other
// content is a stretch of a file (content.Backed) that has the size it should have.
func (l *Library) ReaderAt(ctx context.Context, desc oci.Descriptor) (content.ReaderAt, error) {
	v, n, err := l.lookup(ctx, desc.Digest)
	if err != nil {
		return nil, err
	}
	desc.MediaType, desc.Size = n.mediaType, n.size
	if oci.HasSuccessors(n.mediaType) && n.size <= oci.MaxManifestSize {
		data, err := readWhole(ctx, v.shelf, desc)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", l.path, err)
		}
		return sectionOfBytes(data), nil
	}
	ra, err := v.shelf.blob(desc.Digest)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", l.path, err)
	}
	if ra.Size() != n.size {
		err := fmt.Errorf("read %s: %s: %w: %d bytes in place of %d", l.path, desc.Digest, content.ErrCorrupt, ra.Size(), n.size)
		_ = ra.Close()
		return nil, err
	}
	return ra, nil
}

// Fetch implements content.Fetcher.
func (l *Library) Fetch(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	ra, err := l.ReaderAt(ctx, desc)
	if err != nil {
		return nil, err
	}
	r := content.UntilDone(ctx, io.NewSectionReader(ra, 0, ra.Size()))
	return &stretch{content.Verify(r, desc), ra}, nil
}

// Resolve implements content.Resolver.
func (l *Library) Resolve(ctx context.Context, ref oci.Reference) (oci.Descriptor, error) {
	v, err := l.view(ctx)
	if err != nil {
		return oci.Descriptor{}, fmt.Errorf("resolve %s: %w", ref, err)
	}
	i, found := v.find(ref.Local().String())
	if !found {
		return oci.Descriptor{}, fmt.Errorf("resolve %s in %s: %w", ref, l.path, content.ErrNotFound)
	}
	return v.names[i].Target, nil
}

// find is where full is among the names, or would be.
func (v *view) find(full string) (int, bool) {
	return slices.BinarySearchFunc(v.names, full, func(n name, s string) int { return strings.Compare(n.full, s) })
}

// Names implements content.NameReader. Seq is 0, since a place keeps no history, and
// UpdatedAt when the archive or the list of the layout was last written.
func (l *Library) Names(ctx context.Context, prefix string) iter.Seq2[content.Name, error] {
	return func(yield func(content.Name, error) bool) {
		v, err := l.view(ctx)
		if err != nil {
			yield(content.Name{}, err)
			return
		}
		first, _ := v.find(prefix)
		for _, n := range v.names[first:] {
			if !strings.HasPrefix(n.full, prefix) || !yield(n.Name, nil) {
				return
			}
		}
	}
}

// Referrers implements content.ReferrerLister, in the order of digests. What is
// missing or damaged is left out: what it says of itself is not known.
func (l *Library) Referrers(ctx context.Context, subject oci.Digest, artifactType string) iter.Seq2[oci.Descriptor, error] {
	return func(yield func(oci.Descriptor, error) bool) {
		v, err := l.view(ctx)
		if err != nil {
			yield(oci.Descriptor{}, err)
			return
		}
		for _, d := range v.about[subject] {
			desc := oci.Descriptor{MediaType: v.nodes[d].mediaType, Digest: d, Size: v.nodes[d].size}
			data, err := readWhole(ctx, v.shelf, desc)
			if isAny(err, content.ErrNotFound, content.ErrCorrupt) {
				continue
			}
			if err != nil {
				yield(oci.Descriptor{}, err)
				return
			}
			r := asReferrer(desc, data)
			if artifactType != "" && r.ArtifactType != artifactType {
				continue
			}
			if !yield(r.Descriptor, nil) {
				return
			}
		}
	}
}

// InRepository implements content.RepositoryReader.
func (l *Library) InRepository(ctx context.Context, repo string, digests ...oci.Digest) ([]bool, error) {
	v, err := l.view(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]bool, len(digests))
	i, found := slices.BinarySearch(v.repos, repo)
	if !found {
		return out, nil
	}
	for k, d := range digests {
		n := v.nodes[d]
		if n == nil {
			continue
		}
		if _, in := slices.BinarySearch(n.in, i); !in {
			continue
		}
		_, err := v.shelf.size(d)
		if err != nil && !isAny(err, content.ErrNotFound, content.ErrCorrupt, content.ErrUnsupported) {
			return nil, fmt.Errorf("%s: %w", l.path, err)
		}
		out[k] = !isAny(err, content.ErrNotFound)
	}
	return out, nil
}

// RepositoriesOf implements content.RepositoryReader, in order.
func (l *Library) RepositoriesOf(ctx context.Context, d oci.Digest) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		v, err := l.view(ctx)
		if err != nil {
			yield("", err)
			return
		}
		n := v.nodes[d]
		if n == nil {
			return
		}
		for _, i := range n.in {
			if !yield(v.repos[i], nil) {
				return
			}
		}
	}
}
