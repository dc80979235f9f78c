package blobstore

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// tarBackup writes a backup as a tar. What has a member cannot be taken back: a blob
// that turns out damaged stays in it, and the catalog, which comes last, says so.
type tarBackup struct {
	w     *tar.Writer
	time  time.Time
	blank map[int64]stretches // of each pack in it, what may be zeros that the store does not have
}

func newTarBackup(w io.Writer) *tarBackup {
	return &tarBackup{tar.NewWriter(w), time.Now().Truncate(time.Second), map[int64]stretches{}}
}

func (t *tarBackup) member(name string, mode, size int64) error {
	return t.w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: size, ModTime: t.time})
}

// head writes the folders and store.json.
func (t *tarBackup) head(h head) error {
	for _, dir := range storeFolders() {
		if err := t.w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: t.time}); err != nil {
			return err
		}
	}
	p, err := json.Marshal(h)
	if err != nil {
		return err
	}
	p = append(p, '\n')
	if err := t.member(headFile, 0o444, int64(len(p))); err != nil {
		return err
	}
	_, err = t.w.Write(p)
	return err
}

// pack implements backupTarget.
func (t *tarBackup) pack(p db.Pack, _ fsys.File, write packWriter) (_ int64, err error) {
	if err := t.member(packName(p.ID), 0o644, p.End); err != nil {
		return 0, err
	}
	t.blank[p.ID], err = write(t.w, 0, nil)
	return 0, err
}

// has implements backupTarget. Nothing can be read in a tar. It has what the store has
// of a pack that it took, but for what could not be read then; a loose blob that loose
// did not find right is wrong in it, whatever the store has by now, or not there.
func (t *tarBackup) has(_ context.Context, from layout, o db.Object) (bool, error) {
	blank, taken := t.blank[o.Pack]
	rec := record(o.Digest, o)
	if !taken || blank.meets(rec.PayloadOffset(), rec.End()) {
		return false, nil
	}
	return from.readRow(o)
}

// loose implements backupTarget. The member has the size that the catalog tells,
// whatever the file has.
func (t *tarBackup) loose(ctx context.Context, o db.Object, f fsys.File) (good bool, written int64, err error) {
	if err := t.member(blobName(o.Digest), 0o444, o.Size); err != nil {
		return false, 0, err
	}
	r := content.Verify(content.UntilDone(ctx, io.LimitReader(f, o.Size+1)), oci.Descriptor{Digest: o.Digest, Size: o.Size})
	n, err := io.CopyBuffer(t.w, struct{ io.Reader }{r}, make([]byte, chunk))
	if err == nil {
		return true, n, nil
	}
	if !errors.Is(err, content.ErrCorrupt) {
		return false, n, err
	}
	_, err = io.CopyN(t.w, zeros{}, o.Size-n)
	return false, o.Size, err
}

// catalog writes the catalog, and ends the tar.
func (t *tarBackup) catalog(fsx fsys.FS, file string) error {
	f, err := fsx.OpenFile(file, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if err := t.member(catalogFile, 0o644, fi.Size()); err != nil {
		return err
	}
	if _, err := io.CopyBuffer(t.w, struct{ io.Reader }{f}, make([]byte, chunk)); err != nil {
		return err
	}
	return t.w.Close()
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// packName is the name of a pack below the store's folder, with slashes.
func packName(id int64) string { return path.Join(packsDir, fmt.Sprintf("%d.pack", id)) }
