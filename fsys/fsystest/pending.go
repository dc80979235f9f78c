package fsystest

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// change is a change of names that happens as one, as long as none of its folders is
// synced: an entry, or the two of a rename. F is what stands for a file.
type change[F any] []entry[F]

// entry is what becomes of one name.
type entry[F any] struct {
	path string
	dir  bool // it is that of a folder
	gone bool
	to   F // what it leads to, unless it is gone or a folder's
}

// changed notes a change of names. mu is held. What is outside of root, or came from
// there, is left out.
func (d *disk) changed(entries ...entry[*node]) {
	entries = slices.DeleteFunc(entries, func(e entry[*node]) bool {
		return e.path == "" || !e.gone && !e.dir && e.to == nil
	})
	if len(entries) > 0 {
		d.pending = append(d.pending, entries)
	}
}

// settle forgets the changes of names in a folder that was synced: they have happened.
func (d *disk) settle(dir string) {
	for i, ch := range d.pending {
		d.pending[i] = slices.DeleteFunc(slices.Clone(ch), func(e entry[*node]) bool { return filepath.Dir(e.path) == dir })
	}
	d.pending = slices.DeleteFunc(d.pending, func(ch change[*node]) bool { return len(ch) == 0 })
}

// frozen is a file as a Cut took it.
type frozen struct {
	dirty  bool
	synced *left
	left   [fates]*left // none for Torn, which is different each time
	now    []byte
	lo, hi int64
}

// freeze takes n as it is now. mu is held.
func (d *disk) freeze(n *node) (*frozen, error) {
	if n == nil {
		return nil, nil
	}
	if n.froze != nil {
		return n.froze, nil
	}
	fz := &frozen{dirty: n.dirty(), synced: newLeft(n.durable, n.mode)}
	n.shared = true
	if fz.dirty {
		now, err := d.read(n)
		if err != nil {
			return nil, err
		}
		fz.now, fz.lo, fz.hi = now, n.lo, min(n.hi, int64(max(len(now), len(n.durable))))
		fz.left = [fates]*left{Whole: newLeft(now, n.mode), Absent: fz.synced, Zeros: newLeft(n.content(Zeroed), n.mode)}
	}
	n.froze = fz
	return fz, nil
}

func newLeft(p []byte, mode fs.FileMode) *left { return &left{p, mode, sha256.Sum256(p)} }

// dirty says whether there is anything to lose.
func (n *node) dirty() bool { return n.lo < n.hi || n.size != int64(len(n.durable)) }

// read is all that n has, synced or not.
func (d *disk) read(n *node) ([]byte, error) {
	for path, is := range d.live.files {
		if is == n {
			return os.ReadFile(path)
		}
	}
	return n.last, nil
}

// keepLast keeps the bytes of what is about to lose the name path, if that is the
// last one and they are not synced: the name may come back. mu is held.
func (d *disk) keepLast(path string) error {
	n := d.live.files[path]
	if n == nil || !n.dirty() {
		return nil
	}
	p, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	n.last = p
	return err
}

// tear makes a file of which some sectors were written and others not.
func (fz *frozen) tear(r *rand.Rand) *left {
	p := slices.Clone(fz.synced.content)
	if grown := len(fz.now) - len(p); grown > 0 {
		p = append(p, make([]byte, grown)...)
	}
	for at := fz.lo / sectorSize * sectorSize; at < fz.hi; at += sectorSize {
		lo, hi := max(at, fz.lo), min(at+sectorSize, fz.hi)
		switch r.IntN(3) {
		case 0:
			if lo < int64(len(fz.now)) {
				copy(p[lo:hi], fz.now[lo:])
			}
		case 1:
			clear(p[lo:hi])
		}
	}
	end := []int{len(fz.synced.content), len(fz.now), len(p)}[r.IntN(3)]
	if low, high := min(len(fz.synced.content), len(fz.now)), len(p); r.IntN(2) == 0 && high > low {
		end = min(high, (low+r.IntN(high-low)+sectorSize-1)/sectorSize*sectorSize)
	}
	return newLeft(p[:end], fz.synced.mode)
}
