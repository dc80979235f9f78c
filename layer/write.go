package layer

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// Options direct Write. The zero value packs a folder as it is, uncompressed,
// with all times 0.
type Options struct {
	Compression Compression
	// Epoch is the instant of SOURCE_DATE_EPOCH (see ParseEpoch): newer times are
	// lowered to it. The zero Time means that it is not set: all times become 0.
	Epoch time.Time
	// Prefix is the folder in the image that the packed one becomes, for example
	// /usr/local/go. Folders above it are made too. "" and "/" are the image's root.
	Prefix string
	// OmitParents leaves the folders above Prefix out: whoever unpacks the layer
	// makes them, or allows nothing above the prefix.
	OmitParents bool
	// FollowLinks packs what symbolic links lead to, in the tree or outside of it,
	// in place of the links. A link that leads to a folder which holds it is an
	// error, as is one that leads nowhere.
	FollowLinks bool
	// Exclude names files and folders, by paths of the file system, that are left
	// out wherever the walk meets them: a store that lies in the packed folder, for
	// example. What does not exist is ignored.
	Exclude []string
}

// Result tells of a layer. Size and Digest are of the compressed bytes, PlainSize
// and DiffID of the tar.
type Result struct {
	MediaType string
	Digest    oci.Digest
	Size      int64
	DiffID    oci.Digest
	PlainSize int64
	Members   int // entries of the tar: files, folders and links
}

// Descriptor is the layer as a manifest lists it.
func (r Result) Descriptor() oci.Descriptor {
	return oci.Descriptor{MediaType: r.MediaType, Digest: r.Digest, Size: r.Size}
}

// ParseEpoch reads the value of SOURCE_DATE_EPOCH: decimal seconds since 1970.
// "" is the zero Time, not set. Errors: ErrInvalid.
func ParseEpoch(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	// The last second of the year 9999 is the last that RFC 3339 can write.
	if err != nil || n < 0 || n > 253402300799 || strings.HasPrefix(s, "+") {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH %q: %w: want whole seconds since 1970-01-01", s, content.ErrInvalid)
	}
	return time.Unix(n, 0).UTC(), nil
}

// Write packs the folder root, which may be a link to one, as a layer and
// streams it to w, which it does not close. What the tar looks like is in the
// package's doc. w is called from another goroutine, never after Write has
// returned. After an error what w was given is to be thrown away.
//
// Errors: ErrInvalid for a root that is no folder, ErrNotFound, ErrDenied for
// what may not be read, ErrUnsupported for what a layer cannot hold (sockets,
// devices, pipes), ErrConflict for a file that changes meanwhile; all name the
// path. The errors of w come back wrapped.
func Write(ctx context.Context, w io.Writer, root string, o Options) (Result, error) {
	p, err := newPacker(ctx, root, o)
	if err != nil {
		return Result{}, err
	}
	return stream(w, o.Compression, func(tw *tar.Writer) (int, error) {
		p.tw = tw
		err := p.pack()
		return p.members, err
	})
}

// stream writes a layer whose members produce writes and counts.
func stream(w io.Writer, c Compression, produce func(*tar.Writer) (members int, err error)) (Result, error) {
	out := newSink(w)
	last := newStage(out)
	comp, err := NewCompressor(last, c)
	if err != nil {
		_ = last.Close()
		return Result{}, err
	}
	plain := newSink(comp)
	first := newStage(plain)
	tw := tar.NewWriter(first)
	members, err := produce(tw)
	if err == nil {
		err = tw.Close()
	}
	// Every part ends also after an error, so that no goroutine outlives the call.
	for _, part := range []io.Closer{first, comp, last} {
		if cerr := part.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		return Result{}, err
	}
	return Result{
		MediaType: c.MediaType(),
		Digest:    out.digest(), Size: out.n,
		DiffID: plain.digest(), PlainSize: plain.n,
		Members: members,
	}, nil
}

// cleanPrefix is prefix as tar members spell it: no slash at either end, no dots.
func cleanPrefix(prefix string) string {
	return strings.TrimPrefix(path.Clean("/"+prefix), "/")
}

// excluded looks up what is to be left out, so that it is recognised by what it
// is and not by how its path is written.
func excluded(paths []string) ([]os.FileInfo, error) {
	var infos []os.FileInfo
	for _, p := range paths {
		fi, err := os.Stat(p)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, fileError(err)
		}
		infos = append(infos, fi)
	}
	return infos, nil
}
