package bundle_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dist.example/bundle"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/fsys/fsystest"
	"dist.example/oci"
)

// entriesOf are the names in a folder.
func entriesOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestABundleThatFailsLeavesNothing(t *testing.T) {
	c, h := cargo(t, 3<<20, 2<<20)
	size := outgoing(t, c, bundle.WriteOptions{}).Volumes()[0]
	large := c.Blobs[1].Digest
	broken := errors.New("broken")
	for name, fail := range map[string]func(*fsystest.FS){
		"full at once":   func(f *fsystest.FS) { f.LimitWrites(0) },
		"full amid":      func(f *fsystest.FS) { f.LimitWrites(size / 2) },
		"full at last":   func(f *fsystest.FS) { f.LimitWrites(size - 1) },
		"no sync":        func(f *fsystest.FS) { f.FailNth(fsystest.OpSync, 1, broken) },
		"no hint":        func(f *fsystest.FS) { f.FailNth(fsystest.OpWriteBack, 1, broken) },
		"no name":        func(f *fsystest.FS) { f.FailNth(fsystest.OpRename, 1, broken) },
		"no second name": func(f *fsystest.FS) { f.FailNth(fsystest.OpRename, 2, broken) },
		"damage":         func(*fsystest.FS) { h[large] = random(9, len(h[large])) },
		"short":          func(*fsystest.FS) { h[large] = h[large][:100] },
	} {
		for _, split := range []int64{0, 2 << 20} {
			if split == 0 && name == "no second name" || split > 0 && name == "no hint" {
				continue // there is none
			}
			dir, sound := t.TempDir(), h[large]
			must(t, os.WriteFile(filepath.Join(dir, "out.tar"), []byte("old"), 0o644))
			f, err := fsystest.New(fsys.OS(), dir)
			must(t, err)
			w := outgoing(t, c, bundle.WriteOptions{FS: f, Split: split})
			fail(f)
			if err = w.WriteFile(t.Context(), filepath.Join(dir, "out.tar")); err == nil {
				t.Errorf("%s, %d: no error", name, split)
			}
			h[large] = sound
			var damaged *bundle.DamagedBlob
			if damage := name == "damage" || name == "short"; damage != errors.As(err, &damaged) || damage && damaged.Digest != large {
				t.Errorf("%s: %v", name, err)
			}
			left := slices.DeleteFunc(entriesOf(t, dir), func(s string) bool { return split > 0 && s != "out.tar.001" && cutTemp(s) })
			if old, _ := os.ReadFile(filepath.Join(dir, "out.tar")); string(old) != "old" || !slices.Equal(left, []string{"out.tar"}) {
				t.Errorf("%s, %d: it leaves %q", name, split, left)
			}
		}
	}
}

// cutTemp says whether s is a volume's name, which has no temporary ending.
func cutTemp(s string) bool { return len(s) == len("out.tar.001") }

func TestABundleWhoseSyncFailsOnTheWayLeavesNothing(t *testing.T) {
	c, _ := cargo(t, 20<<20, 100)
	dir := t.TempDir()
	f, err := fsystest.New(fsys.OS(), dir)
	must(t, err)
	broken := errors.New("broken")
	f.FailNth(fsystest.OpDataSync, 1, broken)
	err = outgoing(t, c, bundle.WriteOptions{FS: f}).WriteFile(t.Context(), filepath.Join(dir, "out.tar"))
	if !errors.Is(err, broken) || f.Count(fsystest.OpDataSync) != 1 {
		t.Errorf("after %d syncs: %v", f.Count(fsystest.OpDataSync), err)
	}
	if left := entriesOf(t, dir); len(left) > 0 {
		t.Errorf("it leaves %q", left)
	}
}

func TestWhatWasLeftBehindIsSweptOnceItIsOld(t *testing.T) {
	c, _ := cargo(t, 100)
	dir := t.TempDir()
	old := time.Now().Add(-25 * time.Hour)
	for name, at := range map[string]time.Time{
		"out.tar.dist-0123456789abcdef": old, "out.tar.002.dist-0123456789abcdef": old,
		"out.tar.dist-fedcba9876543210": time.Now(), "out.tar.dist-notes": old, "other.tar.dist-0123456789abcdef": old,
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
		must(t, os.Chtimes(filepath.Join(dir, name), at, at))
	}
	must(t, outgoing(t, c, bundle.WriteOptions{}).WriteFile(t.Context(), filepath.Join(dir, "out.tar")))
	want := []string{"other.tar.dist-0123456789abcdef", "out.tar", "out.tar.dist-fedcba9876543210", "out.tar.dist-notes"}
	if got := entriesOf(t, dir); !slices.Equal(got, want) {
		t.Errorf("there are %q", got)
	}
}

func TestABundleOutlivesAPowerCut(t *testing.T) {
	c, _ := cargo(t, 3<<20, 100)
	for _, loss := range []fsystest.Loss{fsystest.Truncated, fsystest.Zeroed} {
		dir, after := t.TempDir(), t.TempDir()
		f, err := fsystest.New(fsys.OS(), dir)
		must(t, err)
		must(t, outgoing(t, c, bundle.WriteOptions{FS: f}).WriteFile(t.Context(), filepath.Join(dir, "out.tar")))
		must(t, f.Crash(after, loss))
		if _, err := readAll(t, bundle.OCIArchive{}, filepath.Join(after, "out.tar"), nil); err != nil {
			t.Error(err)
		}
	}
}

func TestVolumesAreSoundEachByItself(t *testing.T) {
	c, h := cargo(t, 3<<20, 100, 700<<10, 2<<20)
	whole := outgoing(t, c, bundle.WriteOptions{})
	contents, _ := whole.Contents()
	for _, split := range []int64{200 << 10, 1 << 20, 1<<20 + 4096, 2<<20 + 513, 5 << 20, 1 << 30} {
		w := outgoing(t, c, bundle.WriteOptions{Split: split})
		path := filepath.Join(t.TempDir(), "out.tar")
		must(t, w.WriteFile(t.Context(), path))
		got := map[oci.Digest][]byte{}
		for i, size := range w.Volumes() {
			data, err := os.ReadFile(bundle.VolumeName(path, i+1))
			must(t, err)
			if int64(len(data)) != size || size >= split {
				t.Errorf("%d: volume %d has %d bytes, planned were %d", split, i+1, len(data), size)
			}
			all := walk(t, data, time.Unix(0, 0))
			if all[1].name != bundle.VolumeFile || all[2].name != bundle.ContentsFile || all[len(all)-1].name != bundle.SumsFile {
				t.Errorf("%d: volume %d has %v", split, i+1, all)
			}
			var v bundle.Volume
			must(t, json.Unmarshal(all[1].data, &v))
			if v.Number != i+1 || v.Of != len(w.Volumes()) || v.Bundle != oci.DigestBytes(all[2].data) {
				t.Errorf("%d: volume %d says that it is %+v", split, i+1, v)
			}
			takeVolume(t, all, got)
		}
		if len(got) != len(contents.Blobs) {
			t.Errorf("%d: the volumes have %d blobs of %d", split, len(got), len(contents.Blobs))
		}
		for d, data := range got {
			if oci.DigestBytes(data) != d || h[d] != nil && !bytes.Equal(data, h[d]) {
				t.Errorf("%d: %s does not come back", split, d)
			}
		}
		if _, err := readAll(t, bundle.InPlace{}, bundle.VolumeName(path, 1), nil); err != nil {
			t.Errorf("%d: %v", split, err)
		}
	}
}

// takeVolume takes blobs and parts out of a volume, whose sums have to be right.
func takeVolume(t *testing.T, all []memberOf, into map[oci.Digest][]byte) {
	t.Helper()
	var sums bundle.Sums
	must(t, json.Unmarshal(all[len(all)-1].data, &sums))
	for _, m := range all {
		if rest, ok := strings.CutPrefix(m.name, "blobs/"); ok {
			into[oci.Digest(strings.Replace(rest, "/", ":", 1))] = m.data
			continue
		}
		d, off, ok := bundle.ParsePartName(m.name)
		if !ok {
			continue
		}
		if want := (bundle.PartSum{Blob: d, Offset: off, Size: int64(len(m.data)), Digest: oci.DigestBytes(m.data)}); len(sums.Parts) == 0 || sums.Parts[0] != want {
			t.Errorf("%s: the sums are %+v", m.name, sums.Parts)
		} else {
			sums.Parts = sums.Parts[1:]
		}
		if int64(len(into[d])) != off {
			t.Errorf("%s comes behind %d bytes", m.name, len(into[d]))
		}
		into[d] = append(into[d], m.data...)
	}
	if len(sums.Parts) > 0 {
		t.Errorf("sums of parts that are not there: %+v", sums.Parts)
	}
}

func TestAFolderKeepsWhatItLists(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layout")
	other := newImage(t, "other")
	must(t, write(t, bundle.Layout{}, dir+":v9", "registry.example/other:v9", other...))
	c, _ := cargo(t, 100)
	alone, err := outgoing(t, c, bundle.WriteOptions{Form: bundle.FormFolder}).WriteFolder(t.Context(), dir)
	must(t, err)
	if _, err := os.Stat(filepath.Join(dir, bundle.ContentsFile)); alone || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("beside another image: alone %v, %v", alone, err)
	}
	for _, place := range []string{":v9", ":v1"} {
		if _, err := readAll(t, bundle.Layout{}, dir+place, nil); err != nil {
			t.Errorf("%s: %v", place, err)
		}
	}
	c.Name = "site/north"
	if _, err := outgoing(t, c, bundle.WriteOptions{Form: bundle.FormFolder}).WriteFolder(t.Context(), dir); !errors.Is(err, content.ErrConflict) {
		t.Errorf("a bundle with a name: %v", err)
	}
}

func TestAFolderIsWrittenAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layout")
	c, h := cargo(t, 100, 2<<20)
	w := outgoing(t, c, bundle.WriteOptions{Form: bundle.FormFolder})
	broken := h[c.Blobs[2].Digest]
	h[c.Blobs[2].Digest] = random(7, len(broken))
	var damaged *bundle.DamagedBlob
	if _, err := w.WriteFolder(t.Context(), dir); !errors.As(err, &damaged) || damaged.Digest != c.Blobs[2].Digest {
		t.Errorf("damage: %v", err)
	}
	for _, name := range []string{"index.json", bundle.ContentsFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after damage: %s, %v", name, err)
		}
	}
	h[c.Blobs[2].Digest] = broken
	var before []byte
	for range 2 {
		alone, err := w.WriteFolder(t.Context(), dir)
		must(t, err)
		data, err := os.ReadFile(filepath.Join(dir, bundle.ContentsFile))
		must(t, err)
		if !alone || before != nil && !bytes.Equal(data, before) {
			t.Errorf("alone %v, %d bytes", alone, len(data))
		}
		before = data
	}
}

func TestDamageEndsAStream(t *testing.T) {
	c, h := cargo(t, 3<<20, 100)
	h[c.Blobs[1].Digest] = random(9, 3<<20)
	var b bytes.Buffer
	if err := outgoing(t, c, bundle.WriteOptions{}).WriteTo(t.Context(), &b); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("damage in a stream: %v", err)
	}
}

// Whichever blob is damaged, nobody takes what came of the stream for a whole archive.
func TestADamagedStreamIsNoArchive(t *testing.T) {
	whole, h := cargo(t, 700<<10, 100, 0, 3000)
	for i, entry := range whole.Blobs {
		if entry.Size == 0 {
			continue
		}
		w, sound := outgoing(t, whole, bundle.WriteOptions{}), h[entry.Digest]
		h[entry.Digest] = slices.Concat(sound[:len(sound)-1], []byte{^sound[len(sound)-1]})
		var b bytes.Buffer
		if err := w.WriteTo(t.Context(), &b); !errors.Is(err, content.ErrCorrupt) {
			t.Errorf("damage in blob %d: %v", i, err)
		}
		h[entry.Digest] = sound
		if b.Len() == 0 {
			continue
		}
		r := tar.NewReader(&b)
		err := error(nil)
		for err == nil {
			if _, err = r.Next(); err == nil {
				_, err = io.Copy(io.Discard, r)
			}
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("damage in blob %d leaves a tar that ends with %v", i, err)
		}
	}
}

// stuck is a writer that takes nothing.
type stuck struct{ let chan struct{} }

func (s stuck) Write([]byte) (int, error) { <-s.let; return 0, io.ErrClosedPipe }

func TestAReaderThatDoesNotReadIsLeftBehind(t *testing.T) {
	c, _ := cargo(t, 20<<20)
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	s := stuck{make(chan struct{})}
	defer close(s.let)
	time.AfterFunc(50*time.Millisecond, func() { cancel(gone) })
	if err := outgoing(t, c, bundle.WriteOptions{}).WriteTo(ctx, s); !errors.Is(err, gone) {
		t.Errorf("a stuck reader: %v", err)
	}
}

func TestEventsTellOfEveryBlob(t *testing.T) {
	c, _ := cargo(t, 3<<20, 100)
	seen := make(chan content.Event, 1000)
	w := outgoing(t, c, bundle.WriteOptions{Observe: func(e content.Event) { seen <- e }})
	must(t, w.WriteTo(t.Context(), io.Discard))
	close(seen)
	ends := map[oci.Digest][3]int{}
	for e := range seen {
		n := ends[e.Descriptor.Digest]
		switch e.Kind {
		case content.EventPlanned:
			n[0]++
		case content.EventStarted:
			n[1]++
		case content.EventFinished:
			n[2]++
		}
		ends[e.Descriptor.Digest] = n
	}
	contents, _ := w.Contents()
	for _, b := range contents.Blobs {
		if ends[b.Digest] != [3]int{1, 1, 1} {
			t.Errorf("%s is planned, started and finished %v times", b.Digest, ends[b.Digest])
		}
	}
}

// Two exports of one name into one folder at once: whoever comes last finds all that it
// lists.
func TestBlobsThatAnotherExportRemovesComeAgain(t *testing.T) {
	one, _ := cargo(t, 3000)
	other, _ := cargo(t, 4000)
	dir := t.TempDir()
	_, err := outgoing(t, one, bundle.WriteOptions{Form: bundle.FormFolder}).WriteFolder(t.Context(), dir)
	must(t, err)
	var once sync.Once
	alone, err := outgoing(t, one, bundle.WriteOptions{Form: bundle.FormFolder, Jobs: 1, Observe: func(e content.Event) {
		if e.Kind == content.EventReused {
			once.Do(func() {
				_, err := outgoing(t, other, bundle.WriteOptions{Form: bundle.FormFolder}).WriteFolder(t.Context(), dir)
				must(t, err)
			})
		}
	}}).WriteFolder(t.Context(), dir)
	must(t, err)
	if !alone {
		t.Error("it is no bundle")
	}
	audit, err := bundle.AuditPlace(t.Context(), dir, nil)
	if err != nil || audit.Blobs != len(audit.Contents.Blobs) {
		t.Errorf("%+v, %v", audit, err)
	}
}
