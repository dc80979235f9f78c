package layer

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"dist.example/content"
	"dist.example/oci"
	"github.com/klauspost/compress/zstd"
)

// Index is what the members of a layer say of themselves, with the sums of their content:
// what it takes to put the layer on a tree without reading it.
type Index struct {
	// DiffID is that of the layer, which it had when it was read.
	DiffID  oci.Digest
	members []indexed
}

// indexed is a member. Sparse files have sums as far as they come to maxHoles in a layer:
// their content may be any amount of nothing.
type indexed struct {
	header tar.Header
	sum    *[sha256.Size]byte
}

// IndexBudget bounds what indexes that are in memory together have in them, by the caps of
// a tree. It is safe for concurrent use.
type IndexBudget struct{ entries, bytes atomic.Int64 }

func (b *IndexBudget) take(entries, bytes int) error {
	if b.entries.Add(int64(entries)) > MaxEntries || b.bytes.Add(int64(bytes)) > MaxHeaderBytes {
		return fmt.Errorf("%w: the layers have more than %d members, or their headers more than %d bytes", content.ErrUnsupported, MaxEntries, MaxHeaderBytes)
	}
	return nil
}

// newIndexed is what a header says. Texts are copied: those of a tar keep all records of
// their member.
func newIndexed(h *tar.Header) indexed {
	m := indexed{header: tar.Header{
		Typeflag: h.Typeflag, Name: strings.Clone(h.Name), Linkname: strings.Clone(h.Linkname), Size: h.Size, Mode: h.Mode, Uid: h.Uid, Gid: h.Gid,
		Uname: strings.Clone(h.Uname), Gname: strings.Clone(h.Gname), ModTime: h.ModTime, Devmajor: h.Devmajor, Devminor: h.Devminor,
	}}
	if h.Typeflag != tar.TypeXGlobalHeader {
		if kept := records(h); len(kept) > 0 {
			m.header.PAXRecords = kept
		}
	}
	if sparse(h) {
		m.header.Typeflag = tar.TypeGNUSparse
	}
	return m
}

// Index reads a layer to its end. Errors: those of Tree.Apply but what takes a tree to
// find out; ErrUnsupported also for what is beyond b.
func (in Input) Index(ctx context.Context, b *IndexBudget) (*Index, error) {
	x, holes, buf := &Index{DiffID: in.DiffID}, int64(0), make([]byte, 128<<10)
	err := in.walk(ctx, func(h *tar.Header, _ int, r io.Reader) error {
		m := newIndexed(h)
		if err := b.take(1, m.bytes()); err != nil {
			return err
		}
		if sparse(h) {
			holes += min(h.Size, maxHoles)
		}
		if isFile(m.header.Typeflag) && h.Size > 0 && (!sparse(h) || holes < maxHoles) {
			f := &file{}
			// Holes take no reading of the layer, which would notice the end of ctx.
			if err := f.hash(content.UntilDone(ctx, r), buf); err != nil {
				return err
			}
			m.sum = f.sum
		}
		x.members = append(x.members, m)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return x, nil
}

// entryTypes are the types of members that are entries.
var entryTypes = map[string]byte{
	TypeFile: tar.TypeReg, TypeFolder: tar.TypeDir, TypeLink: tar.TypeSymlink,
	TypeCharDevice: tar.TypeChar, TypeBlockDevice: tar.TypeBlock, TypePipe: tar.TypeFifo,
}

// Add adds an entry to an index that is made by hand, "" being the root. A file that is not
// empty has the SHA-256 of its content as digest. The caller gives each path once, behind
// the folder that it is in.
func (x *Index) Add(path string, e Entry) {
	m := indexed{header: tar.Header{
		Typeflag: entryTypes[e.Type], Name: cmp.Or(path, "./"), Linkname: e.Target, Mode: int64(e.Mode), Uid: e.UID, Gid: e.GID,
		ModTime: e.Time, Devmajor: e.Major, Devminor: e.Minor,
	}}
	for k, v := range e.Xattrs {
		if m.header.PAXRecords == nil {
			m.header.PAXRecords = map[string]string{}
		}
		if isXattr(k) {
			k = xattrKey + k
		}
		m.header.PAXRecords[k] = v
	}
	if e.Type == TypeFile {
		if m.header.Size = e.Size; e.Sparse {
			m.header.Typeflag = tar.TypeGNUSparse
		}
		_, encoded, _ := strings.Cut(e.Digest.String(), ":")
		if sum, err := hex.DecodeString(encoded); err == nil && e.Size > 0 && len(sum) == sha256.Size {
			m.sum = (*[sha256.Size]byte)(sum)
		}
	}
	x.members = append(x.members, m)
}

// AddLink adds one more name of a file that was added.
func (x *Index) AddLink(path, old string) {
	x.members = append(x.members, indexed{header: tar.Header{Typeflag: tar.TypeLink, Name: path, Linkname: old}})
}

// isXattr says whether the key of an Entry's Xattrs is that of an extended attribute, and
// not of another PAX record.
func isXattr(key string) bool {
	space, _, _ := strings.Cut(key, ".")
	return slices.Contains([]string{"user", "trusted", "security", "system"}, space)
}

// maxHoles bounds the content of sparse files that is hashed, in bytes of a layer.
const maxHoles = 16 << 30

func isFile(kind byte) bool {
	return kind == tar.TypeReg || kind == tar.TypeCont || kind == tar.TypeGNUSparse
}

// bytes is how much a member says.
func (m *indexed) bytes() int {
	h := &m.header
	n := len(h.Name) + len(h.Linkname) + len(h.Uname) + len(h.Gname)
	for k, v := range h.PAXRecords {
		n += len(k) + len(v)
	}
	return n
}

// AddIndexes puts the layers of indexes on top, the lowest first, as ApplyAll does with
// the layers. Files have sums then, whether the tree was made with sums or not; a file that
// has none in its index is refused where it was. Errors: those of Apply that the members
// lead to.
func (t *Tree) AddIndexes(all []*Index) error {
	t.holes = true
	for _, x := range all {
		if err := t.addIndex(x); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tree) addIndex(x *Index) error {
	for i := range x.members {
		m := &x.members[i]
		n, err := t.add(&m.header, int32(i))
		if err != nil {
			return fmt.Errorf("layer %d: member %q: %w", t.layer+1, m.header.Name, err)
		}
		if n != nil && !n.isDir() && n.file.kind == kindFile {
			n.file.sum = m.sum
			if t.sums && m.sum == nil && n.file.size > 0 {
				return fmt.Errorf("layer %d: member %q: %w: nothing tells its content: too much of it are holes", t.layer+1, m.header.Name, content.ErrUnsupported)
			}
		}
	}
	t.layer++
	return nil
}

// indexForm is the first byte of an index.
const indexForm = 2

// Encode writes an index down: zstd, of the byte 2, the diff_id, the number of members, and
// each of them: type, mode, uid, gid, size, time in seconds and nanoseconds, major and minor;
// name, target, user, group; the number of PAX records, and each key and value in the
// order of keys; the number of bytes of a sum, and the sum. Numbers are varints as
// encoding/binary has them, signed but for counts and lengths; texts have their length
// before them.
func (x *Index) Encode() ([]byte, error) {
	p := []byte{indexForm}
	text := func(s string) { p = append(binary.AppendUvarint(p, uint64(len(s))), s...) }
	text(x.DiffID.String())
	p = binary.AppendUvarint(p, uint64(len(x.members)))
	for i := range x.members {
		h := &x.members[i].header
		p = append(p, h.Typeflag)
		for _, n := range []int64{
			h.Mode, int64(h.Uid), int64(h.Gid), h.Size, h.ModTime.Unix(), int64(h.ModTime.Nanosecond()), h.Devmajor, h.Devminor,
		} {
			p = binary.AppendVarint(p, n)
		}
		text(h.Name)
		text(h.Linkname)
		text(h.Uname)
		text(h.Gname)
		p = binary.AppendUvarint(p, uint64(len(h.PAXRecords)))
		for _, k := range slices.Sorted(maps.Keys(h.PAXRecords)) {
			text(k)
			text(h.PAXRecords[k])
		}
		var sum []byte
		if s := x.members[i].sum; s != nil {
			sum = s[:]
		}
		text(string(sum))
	}
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer w.Close()
	return w.EncodeAll(p, nil), nil
}

// maxIndex bounds an index that is read, in bytes before it was compressed.
const maxIndex = MaxHeaderBytes + MaxEntries*128

var errIndex = errors.New("it is no index of a layer")

// ParseIndex reads what Encode wrote. Errors: ErrCorrupt for anything else, ErrUnsupported
// for what is beyond b.
func ParseIndex(p []byte, b *IndexBudget) (*Index, error) {
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxIndex))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	plain, err := r.DecodeAll(p, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w: %v", content.ErrCorrupt, errIndex, err)
	}
	d := &indexReader{rest: plain}
	x := d.index()
	if d.failed || len(d.rest) > 0 {
		return nil, fmt.Errorf("%w: %w", content.ErrCorrupt, errIndex)
	}
	bytes := 0
	for i := range x.members {
		bytes += x.members[i].bytes()
	}
	return x, b.take(len(x.members), bytes)
}

// indexReader takes an index apart; after a failure what it gives means nothing.
type indexReader struct {
	rest   []byte
	failed bool
}

func (d *indexReader) index() *Index {
	x := &Index{}
	if d.byte() != indexForm {
		d.failed = true
	}
	x.DiffID = oci.Digest(d.text())
	for n := d.count(); n > 0 && !d.failed; n-- {
		x.members = append(x.members, d.member())
	}
	return x
}

func (d *indexReader) member() indexed {
	var m indexed
	h := &m.header
	h.Typeflag = d.byte()
	h.Mode, h.Uid, h.Gid, h.Size = d.number(), int(d.number()), int(d.number()), d.number()
	seconds, nanoseconds := d.number(), d.number()
	h.ModTime = time.Unix(seconds, nanoseconds)
	h.Devmajor, h.Devminor = d.number(), d.number()
	h.Name, h.Linkname, h.Uname, h.Gname = d.text(), d.text(), d.text(), d.text()
	for n := d.count(); n > 0 && !d.failed; n-- {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		k := d.text()
		h.PAXRecords[k] = d.text()
	}
	switch sum := d.text(); len(sum) {
	case 0:
	case sha256.Size:
		m.sum = (*[sha256.Size]byte)([]byte(sum))
	default:
		d.failed = true
	}
	if h.Size < 0 || nanoseconds < 0 || nanoseconds >= int64(time.Second) {
		d.failed = true
	}
	return m
}

func (d *indexReader) byte() byte {
	if len(d.rest) == 0 {
		d.failed = true
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *indexReader) number() int64 {
	v, n := binary.Varint(d.rest)
	d.skip(n)
	return v
}

// count is of what takes a byte each at least.
func (d *indexReader) count() int {
	v, n := binary.Uvarint(d.rest)
	d.skip(n)
	if v > uint64(len(d.rest)) {
		d.failed = true
		return 0
	}
	return int(v)
}

func (d *indexReader) text() string {
	n := d.count()
	if d.failed {
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

func (d *indexReader) skip(n int) {
	if n <= 0 {
		d.failed, n = true, 0
	}
	d.rest = d.rest[n:]
}
