package layer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"dist.example/content"
)

// DeltaOptions direct Delta. The zero value is plain, with the times that there are.
type DeltaOptions struct {
	Compression Compression
	// Epoch is the instant of SOURCE_DATE_EPOCH: newer times are lowered to it. The zero
	// Time means that it is not set.
	Epoch time.Time
}

// Delta writes the layer that makes one tree of another, and streams it to w, which it
// does not close; both trees have sums. Whiteouts come first, then the entries of new that
// are others in old, in the byte order of their names, with all that headers say. Of a file
// that differs all names are written, the further ones as hard links. open is asked for the
// content of a file by its first name, which is held to the sum that new has; it is closed.
//
// w is called from another goroutine, never after Delta has returned. Errors: those of open
// and of w; ErrConflict for content that is not what its sum says; ErrUnsupported for what
// no tar can say. No members at all are no layer: see Changes.
func Delta(w io.Writer, old, new *Tree, o DeltaOptions, open func(path string) (io.ReadCloser, error)) (Result, error) {
	return stream(w, o.Compression, func(tw *tar.Writer) (int, error) {
		d := &delta{tw: tw, epoch: o.Epoch, new: new, open: open, folders: map[*node]bool{}, files: map[*file]bool{}, first: map[*file]string{}}
		for change := range Changes(old, new, true) {
			if err := d.take(change); err != nil {
				return 0, err
			}
		}
		err := new.walk(d.write)
		return d.members, err
	})
}

// delta is one run of Delta.
type delta struct {
	tw      *tar.Writer
	epoch   time.Time
	new     *Tree
	open    func(string) (io.ReadCloser, error)
	members int
	// What is to be written.
	folders map[*node]bool
	files   map[*file]bool
	first   map[*file]string // the name that a file was written under
}

// take writes a whiteout for what is gone, and notes what is to be written.
func (d *delta) take(c Change) error {
	at := strings.TrimPrefix(c.Path, "/")
	n := d.new.node(at)
	switch {
	case n == nil:
		dir, base := path.Split(at)
		// What is gone with its folder needs no word, nor what something else replaces.
		if parent := d.new.node(strings.TrimSuffix(dir, "/")); parent == nil || !parent.isDir() {
			return nil
		}
		f := &file{kind: kindFile, mode: 0o644, time: time.Unix(0, 0)}
		return d.header(f.header(dir + whiteoutPrefix + base))
	case n.isDir():
		d.folders[n] = true
	default:
		d.files[n.file] = true
	}
	return nil
}

// write writes what is noted.
func (d *delta) write(n *node) error {
	switch {
	case n.isDir():
		if !d.folders[n] {
			return nil
		}
		return d.header(n.meta().header(n.path()))
	case !d.files[n.file]:
		return nil
	case d.first[n.file] != "":
		return d.header(n.file.linkHeader(n.path(), d.first[n.file]))
	}
	d.first[n.file] = n.path()
	if err := d.header(n.file.header(n.path())); err != nil || n.file.size == 0 {
		return err
	}
	return d.body(n)
}

func (d *delta) body(n *node) error {
	r, err := d.open(n.path())
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(struct{ io.Writer }{d.tw}, newSummed(io.LimitReader(r, n.file.size+1), n.file))
	if errors.Is(err, content.ErrCorrupt) || errors.Is(err, tar.ErrWriteTooLong) {
		return content.WithHint(fmt.Errorf("/%s: %w: it changed while it was read", n.path(), content.ErrConflict), "run it again when nothing writes to the folder")
	}
	return err
}

func (d *delta) header(h *tar.Header) error {
	if !d.epoch.IsZero() && h.ModTime.After(d.epoch) {
		h.ModTime = d.epoch
	}
	if err := d.tw.WriteHeader(h); err != nil {
		return fmt.Errorf("%q: %w", h.Name, headerError(h, err))
	}
	d.members++
	return nil
}

// headerError gives an error of writing a header its class: of the header, or of what is
// written to.
func headerError(h *tar.Header, err error) error {
	if tar.NewWriter(io.Discard).WriteHeader(h) != nil {
		return fmt.Errorf("%w: %v", content.ErrUnsupported, err)
	}
	return err
}
