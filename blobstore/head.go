package blobstore

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"dist.example/blobstore/pack"
	"dist.example/content"
)

// head is store.json.
type head struct {
	Format int    `json:"format"`
	UUID   string `json:"uuid"`
}

func newHead() head {
	var id [16]byte
	rand.Read(id[:])
	return head{format, hex.EncodeToString(id[:])}
}

func isUUID(s string) bool {
	p, err := hex.DecodeString(s)
	return err == nil && len(p) == 16
}

// errNoHead says that store.json is not there, or is not a store's.
var errNoHead = fmt.Errorf("%w", content.ErrNoStore)

// readHead returns the store's identity. Errors: content.ErrNoStore when the folder
// is no store, or one of a newer format; content.ErrCorrupt when it is one that has
// lost its store.json: a new one would make strangers of all that is in it.
func (l layout) readHead() (head, error) {
	h, err := l.parseHead()
	if !errors.Is(err, errNoHead) || !l.holdsStore() {
		return h, err
	}
	// Another process may have made all of it in this moment.
	if h, err := l.parseHead(); !errors.Is(err, errNoHead) {
		return h, err
	}
	what := "lost"
	if _, err := l.fs.Stat(l.path(headFile)); err == nil {
		what = "damaged"
	}
	return h, content.WithHint(
		fmt.Errorf("open store %s: %w: it holds content, but its %s is %s", l.dir, content.ErrCorrupt, headFile, what),
		"`dist check --rebuild` makes it anew from the packs, and the catalog with it")
}

// holdsStore says whether there is anything that only a store has.
func (l layout) holdsStore() bool {
	fi, err := l.fs.Stat(l.path(catalogFile))
	return err == nil && fi.Size() > 0 || l.holdsContent()
}

// holdsContent says whether there is any pack or loose blob.
func (l layout) holdsContent() bool {
	for _, dir := range []string{packsDir, filepath.Join(blobsDir, "sha256"), filepath.Join(blobsDir, "sha512")} {
		if entries, err := l.fs.ReadDir(l.path(dir)); err == nil && len(entries) > 0 {
			return true
		}
	}
	return false
}

// writeHead makes store.json, durably, under a name that nobody has; its folder is
// the caller's to sync.
func (l layout) writeHead(name string, h head) error {
	p, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return writeFile(l.fs, name, append(p, '\n'), 0o444)
}

// findHead finds out which store this is: what store.json says, unless it is lost,
// or all packs say otherwise. Then it is made anew.
func (r *rebuilder) findHead() error {
	h, err := r.parseHead()
	if err != nil && !errors.Is(err, errNoHead) {
		return err
	}
	votes, winner := r.packVotes()
	switch {
	case err == nil && (winner == "" || votes[h.UUID] > 0):
		r.head = h
		return nil
	case winner == "":
		r.head = newHead() // loose blobs do not say whose they are
		r.mended("%s was lost, and no pack says what it was: the store has a new identity", headFile)
	case err == nil:
		r.mended("%s said %s, and all packs say %s: it is made anew", headFile, h.UUID, winner)
		r.head = head{format, winner}
	default:
		r.mended("%s was lost: it is made anew, as the packs say", headFile)
		r.head = head{format, winner}
	}
	tmp := r.path(headFile + ".new")
	if err := r.fs.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := r.writeHead(tmp, r.head); err != nil {
		return err
	}
	if err := r.fs.Rename(tmp, r.path(headFile)); err != nil {
		return err
	}
	r.o.Hook("rebuild.headed")
	return r.fs.SyncDir(r.dir)
}

// packVotes counts for each uuid the packs with a sound header that bear it, and
// says which has most.
func (l layout) packVotes() (votes map[string]int, winner string) {
	votes = map[string]int{}
	entries, _ := l.list(packsDir) // what cannot be listed is told when it is read
	for _, e := range entries {
		id, ok := packID(e.Name())
		if !ok {
			continue
		}
		f, err := l.fs.OpenFile(l.packPath(id), os.O_RDONLY, 0)
		if err != nil {
			continue
		}
		if h, err := pack.ReadHeader(f); err == nil && h.ID == uint64(id) {
			uuid := hex.EncodeToString(h.Store[:])
			if votes[uuid]++; winner == "" || votes[uuid] > votes[winner] {
				winner = uuid
			}
		}
		f.Close()
	}
	return votes, winner
}
