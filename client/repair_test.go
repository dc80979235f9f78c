package client_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dist.example/blobstore/pack"
	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver/registrytest"
)

const mib = 1 << 20

// wounded is a registry with an image, and a folder with a store that has it: a large
// layer, a small one in a file of its own, and a pack with the rest.
type wounded struct {
	reg          *registrytest.Registry
	dir          string
	large, small []byte
}

func newWounded(t *testing.T) wounded {
	w := wounded{registry(t), filepath.Join(t.TempDir(), "store"), registrytest.Bytes(1, 6*mib+5), registrytest.Bytes(2, 300_000)}
	w.reg.PushImage("app:v1", w.large, w.small)
	c := clientOf(t, w.dir)
	pull(t, c, w.reg.Ref("app:v1"))
	must(t, c.Close())
	return w
}

// copied is the store in another folder.
func (w wounded) copied(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "store")
	must(t, os.CopyFS(dir, os.DirFS(w.dir)))
	return dir
}

func (w wounded) blob(p []byte) string { return "blobs/sha256/" + oci.DigestBytes(p).Encoded() }

// The ways to spoil a file.
func flipAt(off int64) func(t *testing.T, name string) {
	return func(t *testing.T, name string) {
		must(t, os.Chmod(name, 0o644))
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		must(t, err)
		defer f.Close()
		var b [1]byte
		_, err = f.ReadAt(b[:], off)
		must(t, err)
		b[0] ^= 0x10
		_, err = f.WriteAt(b[:], off)
		must(t, err)
	}
}

// flipLast damages the end of a file: of a pack the last note.
func flipLast(t *testing.T, name string) {
	fi, err := os.Stat(name)
	must(t, err)
	flipAt(fi.Size()-3)(t, name)
}

func cutTo(size int64) func(t *testing.T, name string) {
	return func(t *testing.T, name string) {
		must(t, os.Chmod(name, 0o644))
		must(t, os.Truncate(name, size))
	}
}

func deleted(t *testing.T, name string) { must(t, os.Remove(name)) }

func swappedWith(p []byte) func(t *testing.T, name string) {
	return func(t *testing.T, name string) {
		must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		must(t, os.RemoveAll(name))
		must(t, os.WriteFile(name, p, 0o644))
	}
}

func appended(p []byte) func(t *testing.T, name string) {
	return func(t *testing.T, name string) {
		must(t, os.Chmod(name, 0o644))
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
		must(t, err)
		_, err = f.Write(p)
		must(t, errors.Join(err, f.Close()))
	}
}

// What becomes of damage.
const (
	refused  = "the store is refused, and a rebuild makes it right"
	found    = "a check finds it"
	mended   = "a check mends it"
	harmless = "it hurts nobody"
)

// TestDamageOfEveryFile damages each kind of file that a store has, in each way, and
// says what finds it and how many bytes it costs to make it right.
func TestDamageOfEveryFile(t *testing.T) {
	t.Parallel()
	w := newWounded(t)
	junk := registrytest.Bytes(9, 5000)
	packed, config := packedBytes(t, w) // the configuration's record is the first
	large, small := w.blob(w.large), w.blob(w.small)
	for _, c := range []struct {
		file, what string
		spoil      func(t *testing.T, name string)
		outcome    string
		fetched    int64
	}{
		{"store.json", "store.json flipped", flipAt(20), refused, 0},
		{"store.json", "store.json cut", cutTo(10), refused, 0},
		{"store.json", "store.json deleted", deleted, refused, 0},
		{"store.json", "store.json swapped", swappedWith(junk), refused, 0},
		{"catalog.db", "catalog.db flipped", flipAt(30), refused, 0},
		{"catalog.db", "catalog.db cut", cutTo(10), refused, 0},
		{"catalog.db", "catalog.db deleted", deleted, refused, 0},
		{"catalog.db", "catalog.db swapped", swappedWith(junk), refused, 0},
		{"catalog.db-wal", "catalog.db-wal flipped", flipAt(5000), refused, 0},
		{"catalog.db-wal", "catalog.db-wal cut", cutTo(10), refused, 0},
		{"catalog.db-wal", "catalog.db-wal deleted", deleted, refused, 0},
		{"catalog.db-wal", "catalog.db-wal swapped", swappedWith(junk), refused, 0},
		{"write.lock", "write.lock deleted", deleted, harmless, 0},
		{"write.lock", "write.lock swapped", swappedWith(junk), harmless, 0},
		{"packs/1.pack", "a header flipped", flipAt(20), mended, 0},
		{"packs/1.pack", "the header of a record flipped", flipAt(70), found, config},
		{"packs/1.pack", "a payload flipped", flipAt(150), found, config},
		{"packs/1.pack", "a note flipped", flipLast, mended, 0},
		{"packs/1.pack", "cut", cutTo(100), found, packed},
		{"packs/1.pack", "deleted", deleted, found, packed},
		{"packs/1.pack", "swapped", swappedWith(junk), found, packed},
		{"packs/1.pack", "a tail", appended(junk), harmless, 0},
		{large, "a large blob: a bit flipped", flipAt(3 * mib), found, mib},
		{large, "a large blob: its end flipped", flipAt(6*mib + 1), found, 5},
		{large, "a large blob: cut", cutTo(5 * mib), found, mib + 5},
		{large, "a large blob: longer", appended(junk), found, 0},
		{large, "a large blob: deleted", deleted, found, 6*mib + 5},
		{large, "a large blob: swapped", swappedWith(w.small), found, 6*mib + 5},
		{small, "a small blob: a bit flipped", flipAt(3000), found, 300_000},
		{small, "a small blob: cut", cutTo(5), found, 300_000},
		{small, "a small blob: deleted", deleted, found, 300_000},
		{small, "a small blob: swapped", swappedWith(w.large), found, 300_000},
		{"ingest/0123", "junk", swappedWith(junk), harmless, 0},
		{"leases/0123", "junk", swappedWith(junk), harmless, 0},
		{"views/sha256/0123", "junk", swappedWith(junk), harmless, 0},
		{"trash/0123", "junk", swappedWith(junk), harmless, 0},
	} {
		t.Run(filepath.Base(filepath.Dir(c.file))+"/"+c.what, func(t *testing.T) {
			dir := w.copied(t)
			c.spoil(t, filepath.Join(dir, c.file))
			w.reg.Forget()
			outcome, report := w.heal(t, dir)
			if outcome != c.outcome || report.Fetched != c.fetched || len(report.Left) > 0 {
				t.Errorf("%s: %s; %d bytes were fetched; want: %s; %d. %+v", c.file, outcome, report.Fetched, c.outcome, c.fetched, report.Left)
			}
			if n := w.reg.BlobBytes(oci.DigestBytes(w.large)) + w.reg.BlobBytes(oci.DigestBytes(w.small)); n > c.fetched {
				t.Errorf("the registry sent %d bytes of layers", n)
			}
		})
	}
}

// What a fault that has passed has left marked, in a file or in a pack, blob or manifest,
// a repair and a reader read again, and ask nobody.
func TestRepairUnmarksWhatIsRight(t *testing.T) {
	t.Parallel()
	w := newWounded(t)
	manifest := w.manifestAt(t)
	for _, x := range []struct {
		what, file string
		at         int64
		check      bool // reads it before the repair does
	}{
		{"a packed blob", "packs/1.pack", 150, false},
		{"a packed manifest", "packs/1.pack", manifest, false},
		{"a small blob", w.blob(w.small), 3000, false},
		{"a large blob", w.blob(w.large), 3 * mib, false},
		{"what a check reads", w.blob(w.small), 3000, true},
	} {
		t.Run(x.what, func(t *testing.T) {
			dir := w.copied(t)
			flip := func() { flipAt(x.at)(t, filepath.Join(dir, x.file)) }
			flip()
			marks := clientOf(t, dir)
			found, err := marks.CheckStore(t.Context(), client.CheckOptions{})
			must(t, err)
			if len(found.Damaged) != 1 {
				t.Fatalf("a check: %+v", found)
			}
			must(t, marks.Close())
			flip()
			w.reg.Forget()
			c := clientOf(t, dir)
			r, err := c.Repair(t.Context(), nil, client.RepairOptions{Check: x.check})
			must(t, err)
			if len(r.Repaired) != 1 || r.Fetched != 0 || r.Requests != 0 || r.Repaired[0].From != "its own file" {
				t.Errorf("%+v", r)
			}
			must(t, c.Check(t.Context(), found.Damaged[0].Digest.String()))
			checked, err := c.CheckStore(t.Context(), client.CheckOptions{})
			must(t, err)
			if !checked.Clean() || len(checked.Unmarked) != 0 {
				t.Errorf("%+v", checked)
			}
		})
	}
}

// What is named as repaired is durable, also where the repair ends before its time.
func TestRepairNamesWhatIsDurable(t *testing.T) {
	t.Parallel()
	w := newWounded(t)
	for name, end := range map[string]func(dir string, cancel func()) error{
		"nothing can be written": func(dir string, _ func()) error {
			return os.Rename(filepath.Join(dir, "packs"), filepath.Join(dir, "gone"))
		},
		"it is interrupted": func(_ string, cancel func()) error {
			cancel()
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := w.copied(t)
			flipAt(150)(t, filepath.Join(dir, "packs/1.pack"))
			flipAt(3000)(t, filepath.Join(dir, w.blob(w.small)))
			ctx, cancel := context.WithCancel(t.Context())
			c := clientOf(t, dir, func(o *client.Options) {
				o.Hook = func(point string) {
					if point == "repair.fetched" {
						must(t, end(dir, cancel))
					}
				}
			})
			r, err := c.Repair(ctx, nil, client.RepairOptions{Check: true, From: []string{w.reg.Ref("app")}})
			if err == nil {
				t.Fatal("it ended well")
			}
			named := map[oci.Digest]bool{}
			for _, f := range r.Repaired {
				named[f.Digest] = true
			}
			lacking, err := store(t, c).Lacking(t.Context())
			must(t, err)
			for _, l := range lacking {
				if named[l.Digest] {
					t.Errorf("%s is named as repaired", l.Digest)
				}
			}
			if len(named)+len(lacking) != 2 {
				t.Errorf("%d are named, %d are lacking", len(named), len(lacking))
			}
		})
	}
}

// contents are the bytes of all files in a store, by name, but for what a reader makes of
// the catalog's log.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	must(t, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(name) == ".db-shm" {
			return err
		}
		p, err := os.ReadFile(name)
		files[name] = string(p)
		return err
	}))
	return files
}

// Another store that a repair asks is only read: what is damaged there is not marked, and
// no lease is left.
func TestRepairChangesNothingInItsSource(t *testing.T) {
	t.Parallel()
	w := newWounded(t)
	dir, other := w.copied(t), w.copied(t)
	for _, d := range []string{dir, other} {
		flipAt(3000)(t, filepath.Join(d, w.blob(w.small)))
	}
	flipAt(3*mib)(t, filepath.Join(dir, w.blob(w.large)))
	before := contents(t, other)
	c := clientOf(t, dir, func(o *client.Options) { o.Registry.Offline = true })
	r, err := c.Repair(t.Context(), nil, client.RepairOptions{Check: true, From: []string{other}})
	must(t, err)
	if len(r.Repaired) != 1 || len(r.Left) != 1 {
		t.Errorf("%+v", r)
	}
	must(t, c.Close())
	if !maps.Equal(contents(t, other), before) {
		t.Error("the source is another now")
	}
}

// A plan changes nothing, whatever it finds, and names what the repair repairs.
func TestAPlanOfARepairChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWounded(t)
	for name, ids := range map[string][]string{"of all": nil, "of one image": {w.reg.Ref("app:v1")}} {
		t.Run(name, func(t *testing.T) {
			dir := w.copied(t)
			flipAt(20)(t, filepath.Join(dir, "packs/1.pack"))
			flipAt(150)(t, filepath.Join(dir, "packs/1.pack"))
			flipAt(3*mib)(t, filepath.Join(dir, w.blob(w.large)))
			cutTo(5)(t, filepath.Join(dir, w.blob(w.small)))
			before := contents(t, dir)
			c := clientOf(t, dir)
			o := client.RepairOptions{Check: len(ids) == 0, From: []string{w.reg.Ref("app")}}
			plan, err := c.PlanRepair(t.Context(), ids, o)
			must(t, err)
			must(t, c.Close())
			if !maps.Equal(contents(t, dir), before) {
				t.Error("the store is another now")
			}
			mended := 0 // notes that are looked at where all is read
			if len(ids) == 0 {
				mended = 1
			}
			if len(plan.Mended) != mended || len(plan.Objects) != 3 {
				t.Errorf("%+v", plan)
			}
			c = clientOf(t, dir)
			r, err := c.Repair(t.Context(), ids, o)
			must(t, err)
			if len(r.Mended) != mended || len(r.Repaired) != len(plan.Objects) {
				t.Fatalf("%+v", r)
			}
			for i, p := range plan.Objects {
				if f := r.Repaired[i]; f.Digest != p.Digest || f.Fetched != p.Bytes || f.Place != p.Place || !slices.Equal(f.Ranges, p.Ranges) {
					t.Errorf("planned %+v, repaired %+v", p, f)
				}
			}
		})
	}
}

// manifestAt is a place in the pack within the payload of the manifest.
func (w wounded) manifestAt(t *testing.T) int64 {
	c := clientOf(t, w.dir)
	info, err := c.Stat(t.Context(), w.reg.Ref("app:v1"))
	must(t, err)
	must(t, c.Close())
	f, err := os.Open(filepath.Join(w.dir, "packs/1.pack"))
	must(t, err)
	defer f.Close()
	fi, err := f.Stat()
	must(t, err)
	for e, err := range pack.Scan(f, fi.Size(), fi.Size()) {
		must(t, err)
		if e.Digest == info.Digest {
			return e.End() - 10
		}
	}
	t.Fatal("the manifest is not in the pack")
	return 0
}

// packedBytes is how much content is in the pack, and how much of it the configuration.
func packedBytes(t *testing.T, w wounded) (n, config int64) {
	c := clientOf(t, w.dir)
	defer c.Close()
	for info, err := range store(t, c).All(t.Context()) {
		must(t, err)
		if info.Place == "pack" {
			n += info.Size
			if !oci.HasSuccessors(info.MediaType) {
				config = info.Size
			}
		}
	}
	return n, config
}

// heal makes a store right by what the program offers, and says what it took.
func (w wounded) heal(t *testing.T, dir string) (outcome string, report client.RepairReport) {
	t.Helper()
	c := clientOf(t, dir)
	r, err := c.CheckStore(t.Context(), client.CheckOptions{})
	switch {
	case err != nil || len(r.Catalog) > 0:
		if err != nil && !errors.Is(err, content.ErrCorrupt) && !errors.Is(err, content.ErrNoStore) {
			t.Errorf("refused without a class: %v", err)
		}
		outcome = refused
		must(t, c.Close())
		c = clientOf(t, dir)
		_, err := c.Rebuild(t.Context())
		must(t, err)
	case len(r.Damaged) > 0:
		outcome = found
	case len(r.Mended) > 0:
		outcome = mended
	default:
		outcome = harmless
	}
	defer c.Close()
	report, err = c.Repair(t.Context(), nil, client.RepairOptions{From: []string{w.reg.Ref("app")}})
	must(t, err)
	// Of a lost pack the first check after that writes the notes again.
	for range 2 {
		r, err = c.CheckStore(t.Context(), client.CheckOptions{})
		must(t, err)
	}
	if !r.Clean() {
		t.Errorf("it is not right afterwards: %+v", r)
	}
	want := w.reg.Ref("app:v1")
	if got := names(t, c); len(got) != 1 || got[0] != want {
		t.Errorf("names: %v, want %s", got, want)
	}
	for _, p := range [][]byte{w.large, w.small} {
		if string(get(t, c, oci.DigestBytes(p).String())) != string(p) {
			t.Error("a layer reads wrong")
		}
	}
	return outcome, report
}
