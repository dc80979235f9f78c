package bundle

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

const (
	// maxMembers bounds the members of an archive: what is known of each is held in
	// memory.
	maxMembers = 100_000
	// maxLinks bounds links that lead to links.
	maxLinks = 16
	// maxName bounds the names of members that are known, and of what links lead to.
	// Nothing in an image has a longer one.
	maxName = 1 << 10
)

// documents are the files that say what an archive holds. Of two with one name, one
// program would read the first and another the last.
var documents = []string{"oci-layout", "index.json", "manifest.json"}

// member is where a file stands in a tar.
type member struct {
	off, size int64
	link      string // the member that it stands for, "" when it is a file itself
	sparse    bool   // its bytes are not its content
}

// indexTar reads the headers of a tar of size bytes and says where its files stand.
// Errors: ErrInvalid for what is no tar, ErrCorrupt for one that is damaged or ends
// early, ErrUnsupported for one with too many members.
func indexTar(ctx context.Context, r io.ReaderAt, size int64) (map[string]member, error) {
	at := io.NewSectionReader(&ahead{r: r}, 0, size)
	tr := tar.NewReader(at)
	members := map[string]member{}
	for n := 0; ; n++ {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		h, err := tr.Next()
		switch {
		case errors.Is(err, io.EOF):
			return members, nil
		case n == 0 && isAny(err, tar.ErrHeader, io.ErrUnexpectedEOF):
			return nil, fmt.Errorf("%w: not a tar", content.ErrInvalid)
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, fmt.Errorf("%w: the tar ends in the middle of member %d", content.ErrCorrupt, n)
		case errors.Is(err, tar.ErrHeader):
			return nil, fmt.Errorf("%w: member %d of the tar: %v", content.ErrCorrupt, n+1, err)
		case err != nil:
			return nil, fsys.Classify(err)
		case n >= maxMembers:
			return nil, fmt.Errorf("%w: the tar has more than %d members", content.ErrUnsupported, maxMembers)
		}
		off, err := at.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if err := keep(members, h, off, size); err != nil {
			return nil, err
		}
	}
}

// ahead reads more than it is asked for: headers that stand close together, or
// first bytes, come by one read. It is for one reader that goes forward.
type ahead struct {
	r    io.ReaderAt
	have []byte
	off  int64 // of have
	buf  [32 << 10]byte
}

// ReadAt implements io.ReaderAt.
func (a *ahead) ReadAt(p []byte, off int64) (int, error) {
	if len(p) > len(a.buf) {
		return a.r.ReadAt(p, off)
	}
	if off < a.off || off+int64(len(p)) > a.off+int64(len(a.have)) {
		n, err := a.r.ReadAt(a.buf[:], off)
		a.have, a.off = a.buf[:n], off
		if n < len(p) {
			return copy(p, a.have), err
		}
	}
	return copy(p, a.have[off-a.off:]), nil
}

// keep adds a member, if it is a file or stands for one and has a name within the
// archive.
func keep(members map[string]member, h *tar.Header, off, end int64) error {
	name := path.Clean(h.Name)
	if !fs.ValidPath(name) || name == "." {
		return nil
	}
	m := member{off: off, size: h.Size}
	switch h.Typeflag {
	case tar.TypeReg:
		m.sparse = isSparse(h)
	case tar.TypeGNUSparse:
		m.sparse = true
	case tar.TypeLink:
		m = member{link: path.Clean(h.Linkname)}
	case tar.TypeSymlink:
		m = member{link: path.Join(path.Dir(name), h.Linkname)}
		if path.IsAbs(h.Linkname) {
			return nil
		}
	default:
		return nil
	}
	if len(name) > maxName || len(m.link) > maxName {
		return nil
	}
	// Copied, or they would keep all of an extended header.
	name, m.link = strings.Clone(name), strings.Clone(m.link)
	if !m.sparse && m.link == "" && (m.size < 0 || m.size > end-off) {
		return fmt.Errorf("%w: the tar ends in the middle of %s", content.ErrCorrupt, name)
	}
	if _, twice := members[name]; twice && slices.Contains(documents, name) {
		return fmt.Errorf("%w: %s stands twice in the tar", content.ErrCorrupt, name)
	}
	members[name] = m
	return nil
}

func isSparse(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// archive is a tar that is read in place.
type archive struct {
	r       io.ReaderAt
	members map[string]member
	close   func() error
	// reopen gives the tar in a file that belongs to who asks. It is nil where all
	// blobs are read from r.
	reopen func() (*os.File, error)
}

// openArchive makes the index of the tar at name.
func openArchive(ctx context.Context, name string) (*archive, error) {
	// Opening a pipe would wait for its other end.
	fi, err := os.Stat(name)
	if err == nil && !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: archives are read from regular files", name, content.ErrUnsupported)
	}
	if err != nil {
		return nil, fsys.Classify(err)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fsys.Classify(err)
	}
	a, err := readArchive(ctx, f, fi.Size())
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	a.close = sync.OnceValue(f.Close)
	return a, nil
}

// readArchive makes the index of a tar of size bytes, which stays open.
func readArchive(ctx context.Context, r io.ReaderAt, size int64) (*archive, error) {
	head := make([]byte, 6)
	n, err := r.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fsys.Classify(err)
	}
	if name, tool := compressed(head[:n]); name != "" {
		return nil, content.WithHint(fmt.Errorf("%w: the archive is compressed with %s", content.ErrUnsupported, name),
			"decompress it first: %s -d", tool)
	}
	members, err := indexTar(ctx, r, size)
	return &archive{r: r, members: members, close: func() error { return nil }}, err
}

// compressed names the compression of a whole archive by its first bytes, and the
// tool that undoes it.
func compressed(head []byte) (name, tool string) {
	for _, c := range []struct{ magic, name, tool string }{
		{"\x1f\x8b", "gzip", "gzip"},
		{"\x28\xb5\x2f\xfd", "zstd", "zstd"},
		{"\xfd7zXZ\x00", "xz", "xz"},
		{"BZh", "bzip2", "bzip2"},
	} {
		if bytes.HasPrefix(head, []byte(c.magic)) {
			return c.name, c.tool
		}
	}
	return "", ""
}

// find follows links to a file. Errors: ErrNotFound, ErrUnsupported.
func (a *archive) find(name string) (string, member, error) {
	asked := name
	for range maxLinks {
		m, ok := a.members[name]
		switch {
		case !ok:
			return "", m, fmt.Errorf("%s: %w in the archive", asked, content.ErrNotFound)
		case m.sparse:
			return "", m, fmt.Errorf("%s: %w: it is stored as a sparse file", asked, content.ErrUnsupported)
		case m.link == "":
			return name, m, nil
		}
		name = m.link
	}
	return "", member{}, fmt.Errorf("%s: %w: too many links in the archive", asked, content.ErrUnsupported)
}

// document implements shelf.
func (a *archive) document(name string, limit int64) ([]byte, error) {
	_, m, err := a.find(path.Clean(name))
	if err != nil {
		return nil, err
	}
	if m.size > limit {
		return nil, tooLarge(name, m.size, limit)
	}
	data := make([]byte, m.size)
	_, err = io.ReadFull(io.NewSectionReader(a.r, m.off, m.size), data)
	return data, fsys.Classify(err)
}

// blob implements shelf.
func (a *archive) blob(d oci.Digest) (content.ReaderAt, error) {
	_, m, err := a.find(blobName(d))
	if err != nil {
		return nil, err
	}
	return a.part(m)
}

// part opens what stands in a stretch of the tar.
func (a *archive) part(m member) (content.ReaderAt, error) {
	if a.reopen == nil {
		return sectionOf(a.r, m.off, m.size), nil
	}
	file, err := a.reopen()
	if err != nil {
		return nil, err
	}
	return &blobFile{sectionOf(file, m.off, m.size), file, m.off}, nil
}

// size implements shelf.
func (a *archive) size(d oci.Digest) (int64, error) {
	_, m, err := a.find(blobName(d))
	return m.size, err
}

// unlisted implements shelf. It looks at first bytes in the order in which they stand.
func (a *archive) unlisted([]entry) []oci.Digest {
	type start struct {
		digest oci.Digest
		off    int64
	}
	var small []start
	for name, m := range a.members {
		if d, ok := blobDigest(name); ok && m.link == "" && !m.sparse && m.size <= oci.MaxManifestSize {
			small = append(small, start{d, m.off})
		}
	}
	slices.SortFunc(small, func(a, b start) int { return cmp.Compare(a.off, b.off) })
	var out []oci.Digest
	first, r := make([]byte, 1), &ahead{r: a.r}
	for _, s := range small {
		if _, err := r.ReadAt(first, s.off); err == nil && first[0] == '{' {
			out = append(out, s.digest)
		}
	}
	slices.Sort(out)
	return out
}

// Close implements shelf.
func (a *archive) Close() error { return a.close() }
