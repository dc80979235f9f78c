package fsystest

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Fate is what becomes of the bytes of one file that were not synced.
type Fate int

// The fates.
const (
	Whole  Fate = iota // all of them are there
	Absent             // the file is as its last sync left it
	Zeros              // it has the size that it had, and zeros for them
	Torn               // each sector is new, old or zeros, and the file ends at any of them
	fates
)

// tears is how often a file is torn where all outcomes are looked at: that there are
// so many more ways is left to the seed.
const tears = 4

// sectorSize is what a disk writes whole or not at all.
const sectorSize = 512

// Cut is a moment at which the power may go: what is durable then, and what is not.
type Cut struct {
	root    string
	files   map[string]*frozen
	dirs    map[string]bool
	changes []change[*frozen]
	dirty   []*frozen
}

// Outcome is one of the states that a power cut may leave.
type Outcome struct {
	// Names says of each change of names that was not synced whether it happened all
	// the same; in the order in which they were made. A rename happens whole or not at
	// all, until one of its two folders is synced.
	Names []bool
	// Files is the fate of each file that has bytes which were not synced.
	Files []Fate
	// Seed decides what is torn.
	Seed uint64
}

// TakeOver makes all files below root durable that are there by now, but for those
// that skip picks, which are left out of every Cut: what SQLite writes is to be
// copied by who knows when.
func (f *FS) TakeOver(skip func(path string) bool) error {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	return filepath.WalkDir(d.root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || skip(path) {
			return err
		}
		return d.adopt(path)
	})
}

// Cut takes what would be left, and what might be, if the power went now. It knows
// the files that TakeOver took, and those that were changed through the FS. It may be
// called from the hook, and costs as much as reading what is not synced.
func (f *FS) Cut() (*Cut, error) {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &Cut{root: d.root, files: map[string]*frozen{}, dirs: maps.Clone(d.durable.dirs)}
	for path, n := range d.durable.files {
		fz, err := d.freeze(n)
		if err != nil {
			return nil, fmt.Errorf("cut: %w", err)
		}
		c.files[path] = fz
	}
	for _, ch := range d.pending {
		var frozenChange change[*frozen]
		for _, e := range ch {
			fz, err := d.freeze(e.to)
			if err != nil {
				return nil, fmt.Errorf("cut: %w", err)
			}
			frozenChange = append(frozenChange, entry[*frozen]{path: e.path, dir: e.dir, gone: e.gone, to: fz})
		}
		c.changes = append(c.changes, frozenChange)
	}
	c.findDirty()
	return c, nil
}

func (c *Cut) findDirty() {
	first := map[*frozen]string{}
	note := func(path string, fz *frozen) {
		if fz != nil && fz.dirty && (first[fz] == "" || path < first[fz]) {
			first[fz] = path
		}
	}
	for path, fz := range c.files {
		note(path, fz)
	}
	for _, ch := range c.changes {
		for _, e := range ch {
			note(e.path, e.to)
		}
	}
	c.dirty = slices.SortedFunc(maps.Keys(first), func(a, b *frozen) int { return cmp.Compare(first[a], first[b]) })
}

// Outcomes ranges over what may be left. Where there are at most limit ways, these
// are all. Else they are limit of them: those in which all names are lost or none is,
// and the files have one fate; then, for half of the rest, those in which a single
// change is lost or a single one is not, the last ones first; and then others, by r.
func (c *Cut) Outcomes(r *rand.Rand, limit int) iter.Seq[Outcome] {
	n, m := len(c.changes), len(c.dirty)
	ways := 1.0
	for range n {
		ways *= 2
	}
	for range m {
		ways *= float64(Torn) + tears
	}
	return func(yield func(Outcome) bool) {
		count := 0
		tell := func(o Outcome) bool {
			count++
			o.Seed = r.Uint64()
			return yield(o)
		}
		if ways <= float64(limit) {
			for i := range int(ways) {
				if !tell(nthOutcome(i, n, m)) {
					return
				}
			}
			return
		}
		for o := range extremes(n, m) {
			if count >= limit || !tell(o) {
				return
			}
		}
		half := count + (limit-count)/2
		for o := range singles(n, m) {
			if count >= half {
				break
			}
			if !tell(o) {
				return
			}
		}
		for count < limit {
			o := uniform(n, m, false, Whole)
			for i := range o.Names {
				o.Names[i] = r.IntN(2) == 0
			}
			for i := range o.Files {
				o.Files[i] = Fate(r.IntN(int(fates)))
			}
			if !tell(o) {
				return
			}
		}
	}
}

// nthOutcome reads i as digits, one for each change and each file.
func nthOutcome(i, names, files int) Outcome {
	o := uniform(names, files, false, Whole)
	for k := range o.Names {
		o.Names[k] = i%2 == 1
		i /= 2
	}
	for k := range o.Files {
		o.Files[k] = min(Fate(i%(int(Torn)+tears)), Torn)
		i /= int(Torn) + tears
	}
	return o
}

func uniform(names, files int, kept bool, fate Fate) Outcome {
	return Outcome{Names: slices.Repeat([]bool{kept}, names), Files: slices.Repeat([]Fate{fate}, files)}
}

// extremes ranges over the outcomes in which everything has one fate.
func extremes(names, files int) iter.Seq[Outcome] {
	last := fates
	if files == 0 {
		last = 1
	}
	return func(yield func(Outcome) bool) {
		for _, kept := range []bool{false, true} {
			for fate := range last {
				if !yield(uniform(names, files, kept, fate)) {
					return
				}
			}
		}
	}
}

// singles ranges over those in which one thing has another fate than all others.
func singles(names, files int) iter.Seq[Outcome] {
	return func(yield func(Outcome) bool) {
		for i := range files {
			o := uniform(names, files, true, Whole)
			o.Files[i] = Absent
			if !yield(o) {
				return
			}
		}
		for i := range names {
			for _, kept := range []bool{true, false} {
				o := uniform(names, files, kept, Whole)
				o.Names[names-1-i] = !kept
				if !yield(o) {
					return
				}
			}
		}
	}
}

// Tree is what a power cut has left.
type Tree struct {
	root  string
	files map[string]*left
	dirs  map[string]bool
}

// left is a file, under whatever names.
type left struct {
	content []byte
	mode    fs.FileMode
	sum     [sha256.Size]byte
}

// After is the tree that o leaves.
func (c *Cut) After(o Outcome) Tree {
	t := Tree{c.root, map[string]*left{}, maps.Clone(c.dirs)}
	files := maps.Clone(c.files)
	for i, ch := range c.changes {
		if o.Names[i] {
			apply(ch, files, t.dirs)
		}
	}
	fate := map[*frozen]int{}
	for i, fz := range c.dirty {
		fate[fz] = i
	}
	torn := map[*frozen]*left{}
	for path, fz := range files {
		if !t.reaches(filepath.Dir(path)) {
			continue
		}
		l := fz.synced
		if i, dirty := fate[fz]; dirty {
			if l = fz.left[o.Files[i]]; o.Files[i] == Torn {
				if torn[fz] == nil {
					torn[fz] = fz.tear(rand.New(rand.NewPCG(o.Seed, uint64(i))))
				}
				l = torn[fz]
			}
		}
		t.files[path] = l
	}
	return t
}

func apply(ch change[*frozen], files map[string]*frozen, dirs map[string]bool) {
	for _, e := range ch {
		switch {
		case e.dir && e.gone:
			delete(dirs, e.path)
		case e.dir:
			dirs[e.path] = true
		case e.gone:
			delete(files, e.path)
		default:
			files[e.path] = e.to
		}
	}
}

// reaches says whether dir is there with all above it.
func (t Tree) reaches(dir string) bool {
	for ; dir != t.root; dir = filepath.Dir(dir) {
		if !t.dirs[dir] {
			return false
		}
	}
	return true
}

// Sum is the same for two trees only if these are the same.
func (t Tree) Sum() string {
	h := sha256.New()
	for _, dir := range slices.Sorted(maps.Keys(t.dirs)) {
		if t.reaches(dir) {
			fmt.Fprintln(h, dir)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(t.files)) {
		fmt.Fprintf(h, "%s %o %x\n", path, t.files[path].mode, t.files[path].sum)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// Write makes the tree in dst, a folder that is empty or does not exist. Names of one
// file are names of one file there.
func (t Tree) Write(dst string) error {
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return fmt.Errorf("write what is left: %w", err)
	}
	for dir := range t.dirs {
		if t.reaches(dir) {
			if err := os.MkdirAll(dst+dir[len(t.root):], 0o755); err != nil {
				return fmt.Errorf("write what is left: %w", err)
			}
		}
	}
	first := map[*left]string{}
	for _, path := range slices.Sorted(maps.Keys(t.files)) {
		l, name := t.files[path], dst+path[len(t.root):]
		err := error(nil)
		if first[l] != "" {
			err = os.Link(first[l], name)
		} else {
			err = writeFile(name, l.content, l.mode)
		}
		if err != nil {
			return fmt.Errorf("write what is left: %w", err)
		}
		first[l] = name
	}
	return nil
}

// Describe tells of an outcome in words: what happened of the names, and what became
// of the files.
func (c *Cut) Describe(o Outcome) string {
	var b strings.Builder
	for i, ch := range c.changes {
		fmt.Fprintf(&b, "  %s: %s\n", map[bool]string{true: "kept", false: "lost"}[o.Names[i]], c.words(ch))
	}
	for i, fz := range c.dirty {
		word := [fates]string{"whole", "absent", "zeros", "torn"}[o.Files[i]]
		fmt.Fprintf(&b, "  %s: unsynced bytes of %s\n", word, c.nameOf(fz))
	}
	return b.String()
}

func (c *Cut) words(ch change[*frozen]) string {
	var parts []string
	for _, e := range ch {
		part := "made " + e.path[len(c.root):]
		if e.gone {
			part = "gone " + e.path[len(c.root):]
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// nameOf is one of the names of a file.
func (c *Cut) nameOf(fz *frozen) string {
	name := ""
	for path, is := range c.files {
		if is == fz && (name == "" || path < name) {
			name = path[len(c.root):]
		}
	}
	for _, ch := range c.changes {
		for _, e := range ch {
			if name == "" && e.to == fz {
				name = e.path[len(c.root):]
			}
		}
	}
	return name
}
