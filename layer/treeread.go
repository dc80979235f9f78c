package layer

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// Input is a layer that is there already and is read, perhaps more than once.
type Input struct {
	Name      string // for messages
	MediaType string // what promises a compression must tell the truth
	DiffID    oci.Digest
	// Open gives the same bytes each time. Whether the blob is what its digest says is
	// for the reader to check, which is read to its end.
	Open func(context.Context) (io.ReadCloser, error)
}

// visitor is shown each member of a layer. r is its content, and may be left unread;
// errors of reading it are those of the layer.
type visitor func(h *tar.Header, member int, r io.Reader) error

// walk reads a layer to its end. Errors are those of Inspect and of visit, and
// ErrCorrupt for a tar that is not that of the diff_id.
func (in Input) walk(ctx context.Context, visit visitor) error {
	return in.start(ctx, stageBuffers).walk(visit)
}

// reading is a layer whose decompression has begun.
type reading struct {
	in    Input
	want  oci.Digest
	blob  io.ReadCloser
	head  *bufio.Reader // of the blob
	plain *plain
	err   error // of its beginning
}

// start begins to decompress a layer, up to that many buffers of a stage. It is to be
// walked or closed.
func (in Input) start(ctx context.Context, buffers int) *reading {
	r := &reading{in: in}
	r.err = r.begin(ctx, buffers)
	return r
}

func (r *reading) begin(ctx context.Context, buffers int) (err error) {
	if r.want, err = oci.ParseDigest(r.in.DiffID.String()); err != nil {
		return fmt.Errorf("diff_id: %w", err)
	}
	if _, ok := Promised(r.in.MediaType); r.in.MediaType != "" && !ok {
		return fmt.Errorf("layer: %w: its type %s is not that of a tar", content.ErrUnsupported, r.in.MediaType)
	}
	if r.blob, err = r.in.Open(ctx); err != nil {
		return err
	}
	head, c, err := begin(content.UntilDone(ctx, r.blob), r.in.MediaType)
	if err != nil {
		return err
	}
	r.head = head
	if r.plain, err = newPlain(ctx, head, c, buffers); err != nil {
		return verdict(err, head)
	}
	return nil
}

// walk reads the layer to its end and closes it.
func (r *reading) walk(visit visitor) error {
	defer r.close()
	err := r.err
	if err == nil {
		err = r.each(visit)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r.in.Name, err)
	}
	return nil
}

func (r *reading) each(visit visitor) error {
	sum := &sink{w: io.Discard, sum: r.want.Algorithm().Digester()}
	_, err := r.plain.hashed(sum, func(p io.Reader) (int, error) { return eachMember(p, visit) })
	r.plain.Close() // it may be reading the blob
	r.plain = nil
	if err != nil {
		return verdict(err, r.head)
	}
	// The verdict on the blob comes with its end.
	if _, err := io.Copy(io.Discard, r.head); err != nil {
		return err
	}
	if got := sum.digest(); got != r.want {
		return fmt.Errorf("layer: %w: its tar is %s, and its diff_id %s", content.ErrCorrupt, got, r.want)
	}
	return nil
}

// close gives back what has begun.
func (r *reading) close() {
	if r.plain != nil {
		r.plain.Close()
	}
	if r.blob != nil {
		r.blob.Close()
	}
}

// verdict is err, which reading a layer led to, unless that came of damage: what a tar has
// that cannot be may be damage of the blob, which the end of the rest of it tells.
func verdict(err error, rest io.Reader) error {
	if !errors.Is(err, content.ErrInvalid) && !errors.Is(err, content.ErrUnsupported) && !errors.Is(err, content.ErrCorrupt) {
		return err
	}
	if _, end := io.Copy(io.Discard, rest); errors.Is(end, content.ErrCorrupt) {
		return end
	}
	return err
}

// Apply puts a layer on top. Its errors are those of Inspect, and ErrUnsupported for
// what is no tar by its type, is encrypted, has members of a type that no file system has,
// or sparse ones where no disk is made, and for what goes beyond the caps; ErrInvalid for
// a member with a name that is none within the tree; ErrCorrupt for a tar that is not that
// of the diff_id. After an error the tree is of no use.
func (t *Tree) Apply(ctx context.Context, in Input) error {
	return t.ApplyAll(ctx, []Input{in}, nil)
}

// aheadBuffers is how much of the next layer is decompressed while one is applied, in
// buffers of a stage: 4 MiB. With eight times as much it is slower, for the memory that
// this takes.
const aheadBuffers = 16

// ApplyAll puts layers on top, the lowest first, as Apply does. The next is being
// decompressed while one is applied, which is all of the work for one that is small.
// after, if it is not nil, is called after each.
func (t *Tree) ApplyAll(ctx context.Context, layers []Input, after func()) error {
	var next *reading
	for i, in := range layers {
		r := next
		if r == nil {
			r = in.start(ctx, stageBuffers)
		}
		if next = nil; i+1 < len(layers) {
			next = layers[i+1].start(ctx, aheadBuffers)
		}
		if err := t.apply(r); err != nil {
			if next != nil {
				next.close()
			}
			return err
		}
		if after != nil {
			after()
		}
	}
	return nil
}

func (t *Tree) apply(r *reading) error {
	buf := make([]byte, 128<<10)
	err := r.walk(func(h *tar.Header, member int, r io.Reader) error {
		n, err := t.add(h, int32(member))
		if err == nil && n != nil && t.disk != nil && !n.isDir() {
			err = t.disk.Create(n.path(), *n.entry(), r)
		}
		if err != nil {
			return fmt.Errorf("member %q: %w", h.Name, err)
		}
		if n != nil && t.sums && n.file.size > 0 {
			return n.file.hash(r, buf)
		}
		return nil
	})
	t.layer++
	return err
}

// add applies one member, and returns what it is for unless that is a mark, or one more
// name of a file.
func (t *Tree) add(h *tar.Header, member int32) (*node, error) {
	if err := t.charge(1, 0); err != nil {
		return nil, err
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil, nil // a comment
	}
	parts, err := splitName(h.Name)
	if err != nil {
		return nil, err
	}
	last := len(parts) - 1
	for i, p := range parts {
		rest, marked := strings.CutPrefix(p, whiteoutPrefix)
		switch {
		case !marked:
		case i == last && p == whiteoutOpaque:
			n, err := t.folder(parts[:last], false)
			if err == nil && n != nil {
				err = t.clear(n)
			}
			return nil, err
		case strings.HasPrefix(rest, whiteoutPrefix):
			return nil, nil // what AUFS keeps for itself
		case i < last, rest == "", rest == ".", rest == "..":
			return nil, fmt.Errorf("%w: %q stands for no name", content.ErrInvalid, p)
		default:
			n, err := t.folder(parts[:last], false)
			if err == nil && n != nil {
				err = t.whiteout(n, rest)
			}
			return nil, err
		}
	}
	if h.Typeflag == tar.TypeLink {
		return nil, t.link(h, parts)
	}
	return t.create(h, parts, member)
}

// whiteoutOpaque marks a folder of which the layers below have nothing any more.
const whiteoutOpaque = ".wh..wh..opq"

// create makes what a member is for.
func (t *Tree) create(h *tar.Header, parts []string, member int32) (*node, error) {
	f, err := newFile(h, t.layer, member)
	if err == nil && f.sparse && !t.holes {
		// What is not in the tar costs nobody anything to claim, and somebody to read.
		err = fmt.Errorf("%w: a sparse file", content.ErrUnsupported)
	}
	if err != nil {
		return nil, err
	}
	if err := t.charge(0, f.bytes()); err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		if f.kind != kindDir {
			return nil, fmt.Errorf("%w: the root is a folder, and no %s", content.ErrInvalid, f.kind)
		}
		t.root.file, t.root.set = f, t.layer
		return t.root, nil
	}
	last := len(parts) - 1
	parent, err := t.folder(parts[:last], true)
	if err != nil {
		return nil, err
	}
	return t.place(parent, parts[last], f)
}

// link gives a file one more name.
func (t *Tree) link(h *tar.Header, parts []string) error {
	target, err := splitName(h.Linkname)
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", h.Linkname, err)
	}
	var n *node
	if last := len(target) - 1; last >= 0 {
		dir, err := t.folder(target[:last], false)
		if err != nil {
			return err
		}
		if dir != nil {
			n = dir.children[target[last]]
		}
	}
	if n == nil || n.isDir() || len(parts) == 0 {
		return fmt.Errorf("%w: a hard link to %q, and no file is there", content.ErrInvalid, h.Linkname)
	}
	f, last := n.file, len(parts)-1
	parent, err := t.folder(parts[:last], true)
	if err != nil {
		return err
	}
	old := parent.children[parts[last]]
	switch {
	case old != nil && old.file == f: // a name that it has
		if p, ok := t.disk.(*part); ok {
			if err := p.again(old); err != nil {
				return err
			}
		}
		t.hide(old)
		old.born, old.cleared, old.set = t.layer, t.layer, t.layer
		t.touch(old)
		return nil
	case t.disk != nil && (!t.has(n) || n.below(old)):
		return fmt.Errorf("%w: a hard link to %q, in whose place it is to be", content.ErrUnsupported, h.Linkname)
	}
	name, err := t.place(parent, parts[last], f)
	if err != nil || t.disk == nil {
		return err
	}
	return t.disk.Link(name.path(), n.path())
}

// splitName takes the name of a member apart; the root has no parts. Slashes at the
// beginning and dots mean nothing, as to those who unpack layers.
func splitName(name string) ([]string, error) {
	switch {
	case len(name) > MaxPath:
		return nil, fmt.Errorf("%w: its name has more than %d bytes", content.ErrUnsupported, MaxPath)
	case strings.IndexByte(name, 0) >= 0:
		return nil, fmt.Errorf("%w: a zero byte in its name", content.ErrInvalid)
	}
	parts := strings.Split(name, "/")
	kept := parts[:0]
	for _, p := range parts {
		switch p {
		case "", ".":
		case "..":
			return nil, fmt.Errorf("%w: its name leads out of its folder", content.ErrInvalid)
		default:
			kept = append(kept, p)
		}
	}
	return kept, nil
}
