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

// DiffID reads a layer to its end and returns the digest and size of its tar.
// Whether it is one is not looked at: an object that was put as a layer is
// opaque. mediaType, where it promises a compression, must tell the truth.
//
// Errors: ErrInvalid for a media type that contradicts the bytes, ErrUnsupported
// for an encrypted layer and for xz and bzip2, those of Decompress, and those of r unchanged.
func DiffID(ctx context.Context, r io.Reader, mediaType string) (oci.Digest, int64, error) {
	res, err := read(ctx, r, mediaType, drain)
	return res.DiffID, res.PlainSize, err
}

// Inspect reads a tar, plain or compressed with gzip or zstd, to its end and
// tells of it as a layer: a file as it is becomes one. That it is a tar whose
// members are whole is checked; their names and types are not, nor that the tar
// has its closing blocks, which not all writers give it.
//
// The bytes are read once, in order, so that r may tee them into a store.
// Errors: ErrInvalid for what is no tar, those of Decompress, and those of r
// unchanged.
func Inspect(ctx context.Context, r io.Reader) (Result, error) {
	return read(ctx, r, "", members)
}

// InspectAs is Inspect of what is said to be a layer of mediaType, which the result
// then has: the bytes must have the compression that the type promises. What the
// type does not say to be a tar (a statement about an image, for example) is not
// looked into, and its plain bytes are its own. Errors: those of Inspect and DiffID.
func InspectAs(ctx context.Context, r io.Reader, mediaType string) (Result, error) {
	visit := members
	if _, ok := Promised(mediaType); !ok {
		visit = drain
	}
	res, err := read(ctx, r, mediaType, visit)
	if err == nil {
		res.MediaType = mediaType
	}
	return res, err
}

// read hashes r and its plain bytes, which visit consumes.
func read(ctx context.Context, r io.Reader, mediaType string, visit func(io.Reader) (int, error)) (Result, error) {
	in := newSink(io.Discard)
	packed := newStage(in)
	plain := newSink(io.Discard)
	var res Result
	head, c, err := begin(io.TeeReader(content.UntilDone(ctx, r), packed), mediaType)
	if err == nil {
		res.MediaType = c.MediaType()
		res.Members, err = unwrap(ctx, head, c, plain, visit)
	}
	// A discarding writer does not fail.
	_ = packed.Close()
	if err != nil {
		return Result{}, err
	}
	res.Digest, res.Size = in.digest(), in.n
	res.DiffID, res.PlainSize = plain.digest(), plain.n
	return res, nil
}

// begin tells from the first bytes of a layer how it is compressed, and holds its type
// to that. What it returns reads the layer from the start.
func begin(r io.Reader, mediaType string) (*bufio.Reader, Compression, error) {
	head := bufio.NewReaderSize(r, 64<<10)
	// What is shorter than the longest magic number is judged by what there is.
	start, err := head.Peek(8)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, None, err
	}
	c := Detect(start)
	return head, c, promise(mediaType, c, start)
}

// unwrap lets visit read the plain bytes of r to their end, which to hashes.
func unwrap(ctx context.Context, r io.Reader, c Compression, to io.Writer, visit func(io.Reader) (int, error)) (int, error) {
	p, err := newPlain(ctx, r, c, stageBuffers)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	return p.hashed(to, visit)
}

// promise compares a media type with what the bytes are.
func promise(mediaType string, is Compression, head []byte) error {
	said, ok := Promised(mediaType)
	if ok && said != is {
		return content.WithHint(
			fmt.Errorf("layer: %w: its type %s says compression %s, its bytes are %s", content.ErrInvalid, mediaType, said, is),
			"put it as what it is: -t %s", is.MediaType())
	}
	if strings.HasSuffix(mediaType, "+encrypted") {
		return fmt.Errorf("layer: %w: type %s: its tar cannot be known without the key", content.ErrUnsupported, mediaType)
	}
	if f := foreign(head); f != "" {
		return content.WithHint(fmt.Errorf("layer: %w: compression %s", content.ErrUnsupported, f),
			"decompress it first: layers are plain, gzip or zstd")
	}
	return nil
}

func drain(r io.Reader) (int, error) {
	_, err := io.Copy(io.Discard, r)
	return 0, err
}

// members walks a tar to its end and counts what it holds.
func members(r io.Reader) (int, error) {
	return eachMember(r, func(*tar.Header, int, io.Reader) error { return nil })
}

// eachMember walks a tar to its end, shows what it holds, and counts that.
func eachMember(r io.Reader, visit visitor) (int, error) {
	src := &source{r: r}
	tr := tar.NewReader(src)
	var n int
	for ; ; n++ {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, notTar(src, n, err)
		}
		if err := visit(h, n, &body{tr, src, n}); err != nil {
			return 0, err
		}
	}
	if n == 0 && src.n.Load() == 0 {
		return 0, fmt.Errorf("layer: %w: not a tar: it is empty", content.ErrInvalid)
	}
	// Padding after the end belongs to the bytes that are hashed.
	_, err := io.Copy(io.Discard, src)
	return n, err
}

// body is the content of a member, with the errors of the tar.
type body struct {
	r      io.Reader
	src    *source
	member int
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		err = notTar(b.src, b.member+1, err)
	}
	return n, err
}

// notTar words what package tar says, unless the bytes could not be read at all.
func notTar(src *source, member int, err error) error {
	early := errors.Is(err, io.ErrUnexpectedEOF)
	switch {
	case src.failure() != nil:
		return src.failure()
	case member == 0 && (early || errors.Is(err, tar.ErrHeader)):
		return content.WithHint(fmt.Errorf("layer: %w: not a tar", content.ErrInvalid),
			"a layer is a folder, or a tar that is plain or compressed with gzip or zstd")
	case early:
		return fmt.Errorf("layer: %w: the tar ends in the middle of member %d", content.ErrInvalid, member)
	}
	return fmt.Errorf("layer: %w: member %d of the tar: %v", content.ErrInvalid, member+1, err)
}
