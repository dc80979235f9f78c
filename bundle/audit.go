package bundle

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// Audit is what became of reading all of a bundle.
type Audit struct {
	Head
	Blobs int   // that were read, parts of cut ones left out
	Size  int64 // of all that was read
	// Missing are the numbers of the volumes that are not there; the rest was read.
	Missing []int
}

// AuditPlace reads and hashes all that a place has: a bundle in one file, in volumes (at
// names any of them), or in a folder, or an archive of somebody else's, which may be
// compressed. observe is told of progress: one blob with the name "verify"; nil is fine.
// Errors: those of Reception and of OpenLibrary; ErrCorrupt names what is damaged first.
func AuditPlace(ctx context.Context, at string, observe content.Observer) (Audit, error) {
	if observe == nil {
		observe = func(content.Event) {}
	}
	fi, err := os.Stat(at)
	if err != nil {
		return Audit{}, fsys.Classify(err)
	}
	if fi.IsDir() {
		return auditFolder(ctx, at, observe)
	}
	a := &auditor{observe: observe, cut: map[oci.Digest]*cutBlob{}}
	a.told = content.Event{Kind: content.EventStarted, Name: "verify", Total: fi.Size()}
	stream, err := IsStream(at)
	if err != nil {
		return Audit{}, err
	}
	r := NewReception(a)
	if stream {
		err = a.stream(ctx, r, at)
	} else {
		err = a.files(ctx, r, at)
	}
	if err == nil && len(a.Missing) == 0 {
		err = a.whole(r)
	}
	if err != nil {
		return a.Audit, err
	}
	a.Head = r.Head()
	a.tell(content.EventFinished)
	return a.Audit, nil
}

func auditFolder(ctx context.Context, at string, observe content.Observer) (Audit, error) {
	in, err := OpenWhole(ctx, at)
	if err != nil {
		return Audit{}, err
	}
	a := Audit{Head: in.Head}
	if in.Contents != nil {
		err := a.listed(ctx, in, observe)
		return a, errors.Join(err, in.Close())
	}
	if err := in.Close(); err != nil {
		return a, err
	}
	l, err := OpenLibrary(ctx, at, nil)
	if err != nil {
		return a, err
	}
	defer l.Close() // it is only read
	for info, err := range l.All(ctx) {
		if err != nil {
			return a, err
		}
		a.Blobs, a.Size = a.Blobs+1, a.Size+info.Size
	}
	return a, l.Verify(ctx, observe)
}

// listed reads all that the contents of a folder list, whether an image here reaches it or
// not: of a delta most of it belongs to what is elsewhere.
func (a *Audit) listed(ctx context.Context, in *Incoming, observe content.Observer) error {
	all := &auditor{observe: observe, told: content.Event{Name: "verify", Total: in.Contents.TotalSize}}
	all.tell(content.EventStarted)
	for _, b := range in.Contents.Blobs {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		desc := descriptorOf(b)
		r, err := in.Fetch(ctx, desc)
		if err != nil {
			return err
		}
		_, err = all.Blob(ctx, Coming{BlobEntry: b, Reader: r})
		if cerr := r.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return fmt.Errorf("%s: %w", b.Digest, err)
		}
	}
	a.Blobs, a.Size = all.Blobs, all.Size
	all.tell(content.EventFinished)
	return nil
}

// auditor is a Receiver that hashes what comes and keeps nothing.
type auditor struct {
	Audit
	observe content.Observer
	told    content.Event
	cut     map[oci.Digest]*cutBlob
}

// cutBlob is a blob that comes in parts, which have sums of their own: the digest of
// the whole is known once all of them came in their order.
type cutBlob struct {
	hash hash.Hash
	n    int64
}

func (a *auditor) tell(kind content.EventKind) {
	a.told.Kind = kind
	a.observe(a.told)
}

// stream reads what is compressed.
func (a *auditor) stream(ctx context.Context, r *Reception, at string) error {
	f, err := fsys.OpenPatiently(ctx, at, os.O_RDONLY)
	if err != nil {
		return fsys.Classify(err)
	}
	defer f.Close()
	a.tell(content.EventStarted)
	return r.Receive(ctx, at, f)
}

// files reads a tar, or all volumes that there are, in their order.
func (a *auditor) files(ctx context.Context, r *Reception, at string) error {
	paths, missing, err := volumesBeside(ctx, at)
	if err != nil {
		return err
	}
	a.Missing, a.told.Total = missing, 0
	var all []*os.File
	defer func() {
		for _, f := range all {
			_ = f.Close()
		}
	}()
	var sizes []int64
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return fsys.Classify(err)
		}
		all = append(all, f)
		fi, err := f.Stat()
		if err != nil {
			return fsys.Classify(err)
		}
		sizes = append(sizes, fi.Size())
		a.told.Total += fi.Size()
	}
	a.tell(content.EventStarted)
	for i, f := range all {
		if err := r.ReceiveFile(ctx, paths[i], f, sizes[i]); err != nil {
			return err
		}
	}
	return nil
}

// volumesBeside are the volumes that at is one of, by their names, as far as they are
// there; for any other file it is that alone.
func volumesBeside(ctx context.Context, at string) (paths []string, missing []int, err error) {
	first, err := openTar(ctx, at)
	if err != nil {
		return nil, nil, err
	}
	defer first.Close()
	v, err := first.volume()
	if errors.Is(err, content.ErrNotFound) {
		return []string{at}, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", at, err)
	}
	base, _, named := cutVolumePath(at)
	for n := 1; n <= v.Of; n++ {
		path := at
		if n != v.Number {
			path = VolumeName(base, n)
			if _, err := os.Stat(path); !named || err != nil {
				missing = append(missing, n)
				continue
			}
		}
		paths = append(paths, path)
	}
	return paths, missing, nil
}

// whole is for when all has come.
func (a *auditor) whole(r *Reception) error {
	for d, b := range a.cut {
		if got := oci.NewDigest(d.Algorithm(), b.hash); got != d {
			return corrupt(blobName(d), "its parts together have the digest %s", got)
		}
	}
	return r.Complete()
}

// Begin implements Receiver.
func (a *auditor) Begin(context.Context, Head) error { return nil }

// End implements Receiver.
func (a *auditor) End(context.Context, Head) error { return nil }

// Blob implements Receiver.
func (a *auditor) Blob(_ context.Context, b Coming) (oci.Digest, error) {
	d := b.Digest
	if d == "" {
		return a.unnamed(b)
	}
	a.Blobs++
	return d, a.read(content.Verify(b.Reader, oci.Descriptor{Digest: d, Size: b.Size}), io.Discard)
}

// unnamed reads a member that nobody has given a digest.
func (a *auditor) unnamed(b Coming) (oci.Digest, error) {
	h := oci.SHA256.Hash()
	a.Blobs++
	err := a.read(b.Reader, h)
	return oci.NewDigest(oci.SHA256, h), err
}

// Part implements Receiver.
func (a *auditor) Part(_ context.Context, whole BlobEntry, offset int64, b Coming) error {
	c := a.cut[whole.Digest]
	if c == nil {
		c = &cutBlob{hash: whole.Digest.Algorithm().Hash()}
		a.cut[whole.Digest] = c
		a.Blobs++
	}
	to := io.Discard
	if offset == c.n { // else a volume before is missing, and the sums have to do
		to = c.hash
		c.n += b.Size
	}
	return a.read(b.Reader, to)
}

// read reads to the end.
func (a *auditor) read(r io.Reader, to io.Writer) error {
	buf := make([]byte, 256<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			a.Size += int64(n)
			a.told.Offset = min(a.told.Offset+int64(n), a.told.Total)
			a.tell(content.EventAdvanced)
			if _, err := to.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
