package blobstore

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// maxHead is how large a store.json may be.
const maxHead = 4096

// memberKind is what a member of a backup is.
type memberKind uint8

const (
	memberFolder memberKind = iota + 1
	memberLock              // of a store that was packed by hand; nothing is in it
	memberHead
	memberCatalog
	memberPack
	memberBlob
)

// member is a member of a backup whose name is one of a store's.
type member struct {
	kind   memberKind
	pack   int64
	digest oci.Digest
}

// parseMember takes the name of a member apart. What no backup has is
// content.ErrInvalid: there is no name that leads out of the store.
func parseMember(h *tar.Header) (m member, err error) {
	name := strings.TrimPrefix(h.Name, "./")
	dir := strings.TrimSuffix(name, "/")
	switch {
	case h.Typeflag == tar.TypeDir && (dir == "" || dir == "." || isFolder(dir)):
		return member{kind: memberFolder}, nil
	case h.Typeflag != tar.TypeReg || isSparse(h):
		return m, fmt.Errorf("%w: it is no backup: %.100q is neither a file nor a folder of a store", content.ErrInvalid, h.Name)
	case name == headFile:
		return member{kind: memberHead}, nil
	case name == catalogFile:
		return member{kind: memberCatalog}, nil
	case name == lockFile, name == writeLockFile, name == gcLockFile:
		return member{kind: memberLock}, nil
	}
	if file, ok := strings.CutPrefix(name, packsDir+"/"); ok {
		if id, ok := packID(file); ok {
			return member{kind: memberPack, pack: id}, nil
		}
	}
	if file, ok := strings.CutPrefix(name, blobsDir+"/"); ok {
		alg, hex, _ := strings.Cut(file, "/")
		if d, ok := digestIn(oci.Algorithm(alg), hex); ok {
			return member{kind: memberBlob, digest: d}, nil
		}
	}
	return m, content.WithHint(fmt.Errorf("%w: it is no backup: %.100q is nothing that one has", content.ErrInvalid, h.Name),
		"`dist store backup` makes backups; a store that was packed by hand is unpacked by hand")
}

func isFolder(name string) bool {
	for _, dir := range storeFolders() {
		if name == dir {
			return true
		}
	}
	return false
}

// isSparse says whether a member claims bytes that the tar does not have.
func isSparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// receive reads the backup to its end.
func (r *restorer) receive(ctx context.Context, from io.Reader) error {
	t := tar.NewReader(content.UntilDone(ctx, from))
	for n := 0; ; n++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if n == 0 && errors.Is(err, io.ErrUnexpectedEOF) {
			err = tar.ErrHeader
		}
		if err == nil {
			err = r.member(ctx, h, t)
		}
		if err != nil {
			return tarError(err)
		}
	}
	if r.head.UUID == "" || !r.catalog {
		return content.WithHint(fmt.Errorf("%w: it is no whole backup: it has no %s or no %s", content.ErrInvalid, headFile, catalogFile),
			"`dist store backup` makes backups")
	}
	return nil
}

// tarError gives errors of the tar their class.
func tarError(err error) error {
	switch {
	case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrFieldTooLong):
		return fmt.Errorf("%w: it is no backup: %w", content.ErrInvalid, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the backup ends early", content.ErrCorrupt)
	}
	return err
}

func (r *restorer) member(ctx context.Context, h *tar.Header, from io.Reader) error {
	m, err := parseMember(h)
	if err != nil {
		return err
	}
	twice := fmt.Errorf("%w: it is no backup: %s is in it twice", content.ErrInvalid, h.Name)
	switch m.kind {
	case memberHead:
		if r.head.UUID != "" {
			return twice
		}
		return r.receiveHead(h, from)
	case memberCatalog:
		if r.catalog {
			return twice
		}
		r.catalog = true
		return r.stage(catalogFile, 0o644, from)
	case memberPack:
		if r.packs[m.pack] {
			return twice
		}
		r.packs[m.pack] = true
		return r.stage(fmt.Sprintf("%d.pack", m.pack), 0o644, from)
	case memberBlob:
		if r.staged[m.digest] || r.here[m.digest] {
			return twice
		}
		return r.receiveBlob(ctx, m.digest, h.Size, from)
	}
	return nil
}

func (r *restorer) receiveHead(h *tar.Header, from io.Reader) error {
	if h.Size > maxHead {
		return fmt.Errorf("%w: it is no backup: %s of %d bytes", content.ErrInvalid, headFile, h.Size)
	}
	p, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	var got head
	if err := json.Unmarshal(p, &got); err != nil || !isUUID(got.UUID) || got.Format < 1 {
		return fmt.Errorf("%w: it is no backup: its %s is not a store's", content.ErrInvalid, headFile)
	}
	if got.Format > format {
		return content.WithHint(fmt.Errorf("%w that this version reads: format %d, want %d", content.ErrNoStore, got.Format, format),
			"use the version of dist that wrote it, or a newer one")
	}
	r.head = got
	return r.writeHead(r.path(restoreDir, headFile), got)
}

// receiveBlob takes a loose blob, unless the store has a good one. One that does not
// match its digest is not kept: the catalog may know that it is damaged.
func (r *restorer) receiveBlob(ctx context.Context, d oci.Digest, size int64, from io.Reader) error {
	good, err := r.isGood(ctx, d, size)
	if err != nil {
		return err
	}
	if good {
		r.here[d] = true
		return nil
	}
	v := content.Verify(from, oci.Descriptor{Digest: d, Size: size})
	err = r.stage(stagedBlob(d), 0o444, v)
	if errors.Is(err, content.ErrCorrupt) {
		return nil
	}
	if err == nil {
		r.staged[d] = true
	}
	return err
}

// isGood says whether the store has the right bytes of a loose blob, whatever its
// catalog says.
func (r *restorer) isGood(ctx context.Context, d oci.Digest, size int64) (bool, error) {
	return r.readLoose(ctx, d, size, r.advance)
}

// stage writes a durable file beside the store; none is left after an error.
func (r *restorer) stage(name string, mode os.FileMode, from io.Reader) error {
	path := r.path(restoreDir, name)
	f, err := r.fs.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fsys.Classify(err)
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{counting{f, r.advance}}, struct{ io.Reader }{from}, make([]byte, chunk))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = r.fs.Chmod(path, mode)
	}
	if err != nil {
		r.fs.Remove(path)
	}
	return err
}

// counting tells how much is written.
type counting struct {
	w       io.Writer
	advance func(int64)
}

func (c counting) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.advance(int64(n))
	return n, err
}
