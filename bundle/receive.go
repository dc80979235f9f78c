package bundle

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// maxZeros bounds what may stand behind the mark of a tar's end. Tapes have blocks of some
// kilobytes, and their rest is zeros.
const maxZeros = 1 << 20

// Head is what a bundle, or one volume of it, says of itself before its blobs.
type Head struct {
	// Contents are nil for an archive or a layout of somebody else's.
	Contents *Contents
	// Member is the member that the contents stand in, byte for byte, and Signed says that
	// it is a statement whose signature nobody has judged yet.
	Member []byte
	Signed bool
	// Index is the digest of index.json, as the contents say, or that statement.
	Index oci.Digest
	// Volume is nil for what is in one piece.
	Volume *Volume
}

// Coming is a blob on its way in.
type Coming struct {
	BlobEntry        // the digest is "" where nobody says it
	Name      string // of the member
	io.Reader        // need not be read to its end
}

// Receiver takes what comes out of a stream. Its methods are called one after the other,
// for one tar: Begin, then any of Blob and Part, then End, where all of it was sound. An
// error ends the reception, and comes back from Receive.
type Receiver interface {
	// Begin is told what a tar says of itself, before its first blob.
	Begin(ctx context.Context, h Head) error
	// Blob takes a blob, verified by its digest where that is known, and says which
	// digest it has. It need not read what it has already.
	Blob(ctx context.Context, b Coming) (oci.Digest, error)
	// Part takes the part of a blob that begins at an offset in it, of b.Size bytes. The
	// sums at the end of the volume say whether it is sound.
	Part(ctx context.Context, whole BlobEntry, offset int64, b Coming) error
	// End is told that a tar was whole.
	End(ctx context.Context, h Head) error
}

// Reception reads a bundle, or an archive of somebody else's, from front to back: one tar,
// or the volumes of one bundle in any order. What is known of each member is held in
// memory, and the documents; blobs go to a Receiver.
//
// Where there are contents they are what counts: a member that they do not list, one with
// another size or name, one that comes twice, and anything but regular files and folders
// is ErrCorrupt, and so is a document that has another digest. They have to come before
// the first blob. Without, the rules are those of the transports of this package, which
// pass over what is odd.
type Reception struct {
	to    Receiver
	head  Head
	tars  []string // where they came from
	begun bool     // with the first tar

	docs    map[string][]byte
	blobs   map[oci.Digest]int64 // that came whole
	parts   map[oci.Digest]int64 // how much of others came
	files   map[string]received  // other members, of an archive of Docker's
	volumes map[int]string       // where those that came were
	members int
}

// received is a member that is no document and has no digest for a name.
type received struct {
	link   string // the member that it stands for, "" when it is a file itself
	digest oci.Digest
	size   int64
}

// NewReception begins one.
func NewReception(to Receiver) *Reception {
	return &Reception{
		to: to, docs: map[string][]byte{}, blobs: map[oci.Digest]int64{}, parts: map[oci.Digest]int64{},
		files: map[string]received{}, volumes: map[int]string{},
	}
}

// Head is what the tars that came say of the bundle; the volume is that of the first.
func (r *Reception) Head() Head { return r.head }

// Receive reads a stream that may be compressed, to its end: a tar, or several volumes one
// behind the other. name is for messages.
//
// Errors: ErrCorrupt for what is damaged, ends early or is not what the contents say,
// ErrUnsupported for what exceeds a cap, ErrInvalid for what is no tar; those of in, and of
// the Receiver.
func (r *Reception) Receive(ctx context.Context, name string, in io.Reader) error {
	fsys.Widen(in)
	plain, err := unwrap(bufio.NewReaderSize(content.UntilDone(ctx, in), 32<<10)) // more than that goes past it
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer plain.Close()
	rest := io.Reader(plain)
	return r.tarsIn(ctx, name, func() io.Reader { return rest }, func(first []byte) error {
		rest = io.MultiReader(bytes.NewReader(first), plain)
		return nil
	}, plain)
}

// tarsIn reads all tars of a stream, of which next is the one that is due; again is told
// of the block that another begins with, which was read from behind.
func (r *Reception) tarsIn(ctx context.Context, name string, next func() io.Reader, again func(first []byte) error, behind io.Reader) error {
	for n := 1; ; n++ {
		err := r.tar(ctx, name, next())
		if err == nil {
			var first []byte
			if first, err = behindEnd(behind); err == nil && first == nil {
				return nil
			}
			switch {
			case err != nil:
			case r.head.Volume == nil || n > maxVolumes:
				err = fmt.Errorf("%w: more stands behind the end of the tar", content.ErrCorrupt)
			default:
				err = again(first)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}

// ReceiveFile is Receive for what is in a file of size bytes and not compressed: what
// the Receiver does not read is passed over.
func (r *Reception) ReceiveFile(ctx context.Context, name string, in io.ReaderAt, size int64) error {
	all := &seekable{io.NewSectionReader(&ahead{r: in}, 0, size)}
	return r.tarsIn(ctx, name, func() io.Reader { return all }, func(first []byte) error {
		_, err := all.Seek(-int64(len(first)), io.SeekCurrent)
		return err
	}, all)
}

// seekable hides what would make io.Copy go another way.
type seekable struct{ io.ReadSeeker }

// behindEnd reads to the end of what has a tar before it, and returns the block that
// another tar begins with, nil for none.
func behindEnd(r io.Reader) ([]byte, error) {
	block := make([]byte, 512)
	for read := 0; ; read += len(block) {
		n, err := io.ReadFull(r, block)
		for _, b := range block[:n] {
			if b != 0 && n == len(block) {
				return block, nil
			}
			if b != 0 {
				return nil, fmt.Errorf("%w: bytes that are no tar stand behind its end", content.ErrCorrupt)
			}
		}
		switch {
		case errors.Is(err, io.EOF), err == io.ErrUnexpectedEOF: // a wrapped one is an error
			return nil, nil
		case err != nil:
			return nil, fsys.Classify(err)
		case read > maxZeros:
			return nil, fmt.Errorf("%w: more than %d zeros stand behind the end of the tar", content.ErrCorrupt, maxZeros)
		}
	}
}

// marked knows whether the end of a tar was marked: then its reader does not come to the
// end of what it reads.
type marked struct {
	io.Reader
	ended bool
}

func (m *marked) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.ended = n == 0 && err == io.EOF
	return n, err
}

// markedSeeker is marked for what members can be passed over in.
type markedSeeker struct {
	*marked
	io.Seeker
}

// tar reads one tar to the mark of its end.
func (r *Reception) tar(ctx context.Context, name string, in io.Reader) error {
	end := &marked{Reader: in}
	tr := tar.NewReader(end)
	if s, ok := in.(io.Seeker); ok {
		tr = tar.NewReader(markedSeeker{end, s})
	}
	t := &tarReception{r: r, place: name, seen: map[string]bool{}}
	for n := 0; ; n++ {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		h, err := tr.Next()
		switch {
		case err == io.EOF && end.ended && n > 0:
			return fmt.Errorf("%w: the tar ends without the mark of its end, in the middle as it seems", content.ErrCorrupt)
		case err == io.EOF && n == 0:
			return fmt.Errorf("%w: an empty tar, or none", content.ErrInvalid)
		case err == io.EOF:
			return t.end(ctx)
		case err != nil:
			return tarError(err, n)
		}
		if r.members++; r.members > maxMembers {
			return fmt.Errorf("%w: more than %d members", content.ErrUnsupported, maxMembers)
		}
		if err := t.member(ctx, h, tarMember{tr, h.Name}); err != nil {
			return err
		}
	}
}

// tarError gives an error of a tar's reader, behind n members, its class.
func tarError(err error, n int) error {
	switch {
	case isAny(err, content.ErrCorrupt, content.ErrUnsupported):
		return err // of the stream that it is in
	case n == 0 && isAny(err, tar.ErrHeader, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: not a tar", content.ErrInvalid)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the tar ends in the middle of member %d", content.ErrCorrupt, n)
	case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrFieldTooLong):
		return fmt.Errorf("%w: member %d of the tar: %v", content.ErrCorrupt, n+1, err)
	}
	return fsys.Classify(err)
}

// tarMember reads the content of a member, and gives errors their class.
type tarMember struct {
	r    io.Reader
	name string
}

func (m tarMember) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, content.ErrCorrupt) {
		return n, fmt.Errorf("%w: the tar ends in the middle of %.200q", content.ErrCorrupt, m.name)
	}
	return n, fsys.Classify(err)
}
