package bundle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// maxVolumes bounds the volumes of a bundle: each is an open file.
const maxVolumes = 1000

// cutVolumePath is the inverse of VolumeName; ok is false for the name of no volume.
func cutVolumePath(path string) (base string, n int, ok bool) {
	const digits = 3
	i := len(path)
	for i > 0 && '0' <= path[i-1] && path[i-1] <= '9' {
		i--
	}
	if i < 2 || path[i-1] != '.' || len(path)-i < digits {
		return "", 0, false
	}
	n, err := strconv.Atoi(path[i:])
	return path[:i-1], n, err == nil && n > 0 && VolumeName(path[:i-1], n) == path
}

// tarred is a tar that was opened.
type tarred struct {
	path string
	info os.FileInfo
	*archive
}

// openTars opens the archive at path, and all other volumes where it is one. Errors:
// those of openArchive; ErrNotFound for a volume that is missing, ErrCorrupt for one of
// another bundle.
func openTars(ctx context.Context, path string) (all []tarred, err error) {
	defer func() {
		if err != nil {
			closeTars(all)
			all = nil
		}
	}()
	first, err := openTar(ctx, path)
	if err != nil {
		return nil, err
	}
	all = append(all, first)
	v, err := first.volume()
	if errors.Is(err, content.ErrNotFound) {
		return all, nil
	}
	if err != nil {
		return all, fmt.Errorf("%s: %w", path, err)
	}
	base, _, ok := cutVolumePath(path)
	if !ok {
		return all, content.WithHint(
			fmt.Errorf("%s: %w: it is volume %d of %d, and its name does not lead to the others", path, content.ErrNotFound, v.Number, v.Of),
			"call them NAME.001, NAME.002 and so on; dist import takes them under any name")
	}
	for n := 1; n <= v.Of; n++ {
		if n == v.Number {
			continue
		}
		other, err := openTar(ctx, VolumeName(base, n))
		if err != nil {
			return all, fmt.Errorf("volume %d of %d: %w", n, v.Of, err)
		}
		all = append(all, other)
		w, err := other.volume()
		if err == nil && (w.Bundle != v.Bundle || w.Of != v.Of || w.Number != n) {
			err = fmt.Errorf("%w: it is not volume %d of the same bundle", content.ErrCorrupt, n)
		}
		if err != nil {
			return all, fmt.Errorf("%s: %w", other.path, err)
		}
	}
	return all, nil
}

func openTar(ctx context.Context, path string) (tarred, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return tarred{}, fsys.Classify(err)
	}
	a, err := openArchive(ctx, path)
	return tarred{path, fi, a}, err
}

func closeTars(all []tarred) {
	for _, t := range all {
		_ = t.Close() // they were only read
	}
}

// volume says which volume of a bundle the archive is. Errors: ErrNotFound for none.
func (a *archive) volume() (Volume, error) {
	data, err := a.document(VolumeFile, maxLayoutFile)
	if err != nil {
		return Volume{}, err
	}
	return ParseVolume(data)
}

// ParseVolume reads a VolumeFile. Errors: ErrCorrupt, ErrUnsupported for another version.
func ParseVolume(data []byte) (Volume, error) {
	var v Volume
	if err := parseOnce(data, &v); err != nil {
		return v, fmt.Errorf("%s: %w", VolumeFile, err)
	}
	if v.Version != contentsVersion {
		return v, fmt.Errorf("%s: %w: version %d, and only %d is read", VolumeFile, content.ErrUnsupported, v.Version, contentsVersion)
	}
	if _, err := oci.ParseDigest(v.Bundle.String()); err != nil {
		return v, fmt.Errorf("%s: %w: %w", VolumeFile, content.ErrCorrupt, err)
	}
	if v.Of < 1 || v.Of > maxVolumes || v.Number < 1 || v.Number > v.Of {
		return v, fmt.Errorf("%s: %w: volume %d of %d", VolumeFile, content.ErrCorrupt, v.Number, v.Of)
	}
	return v, nil
}

// volumes shows the volumes of one bundle as one layout.
type volumes struct {
	all   []tarred
	parts map[oci.Digest][]part
}

// part is a part of a blob.
type part struct {
	offset int64 // in the blob
	in     *archive
	member member
}

// together makes one shelf of the tars of a place. Errors: ErrCorrupt for a blob of
// which a part is missing.
func together(ctx context.Context, all []tarred) (shelf, error) {
	if len(all) == 1 {
		return dockerOrOCIShelf(ctx, all[0].archive)
	}
	v := &volumes{all: all, parts: map[oci.Digest][]part{}}
	for _, t := range all {
		for name, m := range t.members {
			if d, offset, ok := ParsePartName(name); ok && m.link == "" && !m.sparse {
				v.parts[d] = append(v.parts[d], part{offset, t.archive, m})
			}
		}
	}
	for d, parts := range v.parts {
		slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.offset, b.offset) })
		var end int64
		for _, p := range parts {
			if p.offset != end {
				return nil, fmt.Errorf("%s: %w: a part is missing, or stands twice, at byte %d", d, content.ErrCorrupt, end)
			}
			end += p.member.size
		}
	}
	return v, nil
}

// document implements shelf: all volumes have the same ones, but for those that are
// about the volume itself.
func (v *volumes) document(name string, limit int64) ([]byte, error) {
	return v.all[0].document(name, limit)
}

// blob implements shelf.
func (v *volumes) blob(d oci.Digest) (content.ReaderAt, error) {
	for _, t := range v.all {
		if ra, err := t.blob(d); !errors.Is(err, content.ErrNotFound) {
			return ra, err
		}
	}
	parts := v.parts[d]
	if len(parts) == 0 {
		return nil, fmt.Errorf("%s: %w in the volumes", d, content.ErrNotFound)
	}
	j := &joined{}
	for _, p := range parts {
		ra, err := p.in.part(p.member)
		if err != nil {
			_ = j.Close()
			return nil, err
		}
		j.parts = append(j.parts, ra)
		j.size += ra.Size()
		j.ends = append(j.ends, j.size)
	}
	return j, nil
}

// size implements shelf.
func (v *volumes) size(d oci.Digest) (int64, error) {
	for _, t := range v.all {
		if n, err := t.size(d); !errors.Is(err, content.ErrNotFound) {
			return n, err
		}
	}
	parts := v.parts[d]
	if len(parts) == 0 {
		return 0, fmt.Errorf("%s: %w in the volumes", d, content.ErrNotFound)
	}
	last := parts[len(parts)-1]
	return last.offset + last.member.size, nil
}

// unlisted implements shelf.
func (v *volumes) unlisted(entries []entry) (out []oci.Digest) {
	for _, t := range v.all {
		out = append(out, t.archive.unlisted(entries)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Close implements shelf.
func (v *volumes) Close() error {
	var errs []error
	for _, t := range v.all {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}

// joined is a blob in several parts.
type joined struct {
	parts []content.ReaderAt
	ends  []int64 // of each, in the blob
	size  int64
}

// Size implements content.ReaderAt.
func (j *joined) Size() int64 { return j.size }

// ReadAt implements io.ReaderAt.
func (j *joined) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("read at byte %d: %w", off, content.ErrInvalid)
	}
	for i, end := range j.ends {
		if off >= end {
			continue
		}
		start := end - j.parts[i].Size()
		k, err := j.parts[i].ReadAt(p[n:min(int64(len(p)), int64(n)+end-off)], off-start)
		n, off = n+k, off+int64(k)
		if n == len(p) {
			return n, nil
		}
		if off < end {
			return n, cmp.Or(err, io.ErrUnexpectedEOF)
		}
	}
	return n, io.EOF
}

// Close implements io.Closer.
func (j *joined) Close() error {
	var errs []error
	for _, p := range j.parts {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}
