package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/layer"
)

// VolumeName is the file of a volume, which counts from 1.
func VolumeName(path string, number int) string { return fmt.Sprintf("%s.%03d", path, number) }

// WriteTo streams the bundle to w, from its first byte to its last. Nothing is kept
// elsewhere meanwhile. Each blob is verified while it passes: when one turns out to be
// wrong, w has got a part, and the error says so. When ctx ends, a write that w does not
// return from is left behind. Errors: ErrCorrupt, see DamagedBlob; those of the provider
// and of w; ErrInvalid for several volumes.
func (w *Outgoing) WriteTo(ctx context.Context, to io.Writer) error {
	if len(w.volumes) != 1 || w.o.Split > 0 {
		return fmt.Errorf("write: %w: volumes and folders are not one stream", content.ErrInvalid)
	}
	w.planned()
	fsys.Widen(to)
	c := &carrying{}
	defer c.close()
	return w.pour(ctx, to, w.volumes[0], c, false)
}

// pour writes a volume to a writer, compressed if it is to be.
func (w *Outgoing) pour(ctx context.Context, to io.Writer, v volume, c *carrying, patient bool) error {
	comp, err := layer.NewCompressor(to, w.o.Compression)
	if err != nil {
		return err
	}
	s := newStream(ctx, comp, patient)
	err = s.close(w.emit(s, v, c))
	select {
	case <-s.ended:
		if cerr := comp.Close(); err == nil {
			err = fsys.Classify(cerr)
		}
	default: // somebody is still writing
	}
	return err
}

// planned tells of all that is to come.
func (w *Outgoing) planned() {
	for _, b := range w.blobs {
		w.event(content.EventPlanned, descriptorOf(b.BlobEntry), 0)
	}
}

// WriteFile writes the bundle to the file path, or to volumes VolumeName(path, n). They
// have temporary names until all of them are whole and durable; then they replace what
// was there, the last volume first, so that a crash in between leaves a set of which the
// first one is missing, or is one of the set before. What a crash leaves under temporary
// names, the next export to path removes once it is a day old. Errors: as WriteTo;
// ErrInvalid for a path that is no regular file's; ErrNoSpace, ErrDenied.
func (w *Outgoing) WriteFile(ctx context.Context, path string) (err error) {
	var temps, names []string
	defer func() {
		if err != nil {
			for _, t := range temps {
				_ = w.o.FS.Remove(t)
			}
		}
	}()
	w.sweep(path, time.Now())
	w.planned()
	c := &carrying{}
	defer c.close()
	for i, v := range w.volumes {
		name := path
		if w.o.Split > 0 {
			name = VolumeName(path, i+1)
		}
		temp, file, err := w.beside(name)
		if err != nil {
			return err
		}
		temps, names = append(temps, temp), append(names, name)
		if err := w.fill(ctx, file, v, c); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	w.o.Hook("export.written")
	for len(names) > 0 {
		i := len(names) - 1
		if err := w.o.FS.Rename(temps[i], names[i]); err != nil {
			return fsys.Classify(err)
		}
		temps, names = temps[:i], names[:i]
		w.o.Hook("export.placed")
	}
	return fsys.Classify(w.o.FS.SyncDir(filepath.Dir(path)))
}

// sweep removes what exports to path that were killed have left behind, once it is old.
// What cannot be removed stays.
func (w *Outgoing) sweep(path string, now time.Time) {
	entries, _ := w.o.FS.ReadDir(filepath.Dir(path))
	for _, e := range entries {
		at := len(e.Name()) - len(tempName())
		if at < 0 || !strings.HasPrefix(e.Name()[at:], tempPrefix) || !isVolumeOf(e.Name()[:at], filepath.Base(path)) {
			continue
		}
		if fi, err := e.Info(); err == nil && fi.Mode().IsRegular() && now.Sub(fi.ModTime()) > tempAge {
			_ = w.o.FS.Remove(filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
}

// isVolumeOf says whether a file is path, or one of the volumes of that.
func isVolumeOf(name, path string) bool {
	number, ok := strings.CutPrefix(name, path)
	if !ok || number == "" {
		return ok
	}
	n, err := strconv.Atoi(strings.TrimPrefix(number, "."))
	return err == nil && name == VolumeName(path, n)
}

// beside makes a file for what will be called name.
func (w *Outgoing) beside(name string) (string, fsys.File, error) {
	if fi, err := w.o.FS.Stat(name); err == nil && !fi.Mode().IsRegular() {
		return "", nil, fmt.Errorf("write %s: %w: it is there, and no regular file", name, content.ErrInvalid)
	}
	temp := name + tempName()
	file, err := w.o.FS.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if named := new(fs.PathError); errors.As(err, &named) { // the name that was asked for says more
		named.Path = name
	}
	return temp, file, fsys.Classify(err)
}

// firstSync is how many bytes of a volume are written before it is synced for the first
// time, see fsys.NewBehind.
const firstSync = 4 << 20

// fill writes a volume to a file, durably, and closes that.
func (w *Outgoing) fill(ctx context.Context, file fsys.File, v volume, c *carrying) error {
	to := &behind{position{file: file}, fsys.NewBehind(file, 0, firstSync)}
	err := w.pour(ctx, to, v, c, true)
	if waited := to.disk.Wait(); err == nil {
		err = fsys.Classify(waited)
	}
	if err == nil {
		err = fsys.Classify(file.Sync())
	}
	return errors.Join(err, file.Close())
}

// behind writes to a file that is synced meanwhile.
type behind struct {
	position
	disk *fsys.Behind
}

func (b *behind) Write(p []byte) (int, error) {
	n, err := b.position.Write(p)
	if err == nil {
		err = b.disk.Wrote(n)
	}
	return n, err
}
