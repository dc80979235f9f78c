package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

func tarInput(p []byte) Input {
	return Input{Name: "layer", DiffID: oci.DigestBytes(p), Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p)), nil }}
}

// indexOf is the index of a layer after it was written down.
func indexOf(t *testing.T, p []byte) *Index {
	t.Helper()
	x, err := tarInput(p).Index(t.Context(), new(IndexBudget))
	if err != nil {
		t.Fatal(err)
	}
	text, err := x.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if x, err = ParseIndex(text, new(IndexBudget)); err != nil {
		t.Fatal(err)
	}
	return x
}

// rich is a layer with what headers can say.
func rich(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "x"}},
		{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o1750, Uid: 7, Gid: 8, Uname: "u", Gname: "g", ModTime: time.Unix(1, 5)},
		{Typeflag: tar.TypeReg, Name: "d/f", Mode: 0o4755, Size: 3, ModTime: time.Unix(-5, 0), PAXRecords: map[string]string{"SCHILY.xattr.user.a": "\x00b"}},
		{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "d/f"},
		{Typeflag: tar.TypeLink, Name: "h", Linkname: "d/f"},
		{Typeflag: tar.TypeChar, Name: "c", Devmajor: 1, Devminor: 3},
		{Typeflag: tar.TypeReg, Name: ".wh.gone"},
	} {
		h.Format = tar.FormatPAX
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, "abc"[:h.Size])
	}
	_ = w.Close()
	return b.Bytes()
}

// A tree of indexes is the tree of the layers.
func TestTreeOfIndexes(t *testing.T) {
	t.Parallel()
	layers := [][]byte{written("gone=x", "d/", "d/old=1", "way->d"), rich(t), written("way/through=2", "d/.wh.old", "empty=")}
	a, b := NewTree(true), NewTree(true)
	for _, p := range layers {
		if err := errors.Join(a.Apply(t.Context(), tarInput(p)), b.AddIndexes([]*Index{indexOf(t, p)})); err != nil {
			t.Fatal(err)
		}
	}
	if got := changes(a, b, true); len(got) > 0 {
		t.Errorf("they differ:\n%s", strings.Join(got, "\n"))
	}
	if _, e, err := b.Lookup("h"); err != nil || e.Digest != oci.DigestBytes([]byte("abc")) || !e.Time.Equal(time.Unix(-5, 0)) || e.Xattrs["user.a"] != "\x00b" {
		t.Errorf("one file is %+v: %v", e, err)
	}
}

// However little of it is kept, a member's records are not: names of a tar are parts of
// them.
func TestIndexesKeepNoMoreThanTheySay(t *testing.T) {
	long := strings.Repeat("x", 1<<19)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := range 100 {
		h := tar.Header{Typeflag: tar.TypeReg, Name: strings.Repeat("n", 120) + fmt.Sprint(i), Format: tar.FormatPAX, PAXRecords: map[string]string{"comment": long}}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	_ = w.Close()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	x, err := tarInput(b.Bytes()).Index(t.Context(), new(IndexBudget))
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 20<<20 {
		t.Errorf("%d bytes are kept of 100 members", kept)
	}
	runtime.KeepAlive(x)
}

// All layers together are held to the caps of a tree, before one is made.
func TestIndexesHaveOneBudget(t *testing.T) {
	t.Parallel()
	p := written("a=1", "b/", "c=2")
	var b IndexBudget
	b.entries.Store(MaxEntries - 4)
	if _, err := tarInput(p).Index(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if _, err := tarInput(p).Index(t.Context(), &b); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("beyond it: %v", err)
	}
	text, err := indexOf(t, p).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseIndex(text, &b); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("one that was kept, beyond it: %v", err)
	}
}

// lines is a Disk that tells what it is asked for.
type lines []string

func (l *lines) say(format string, args ...any) error {
	*l = append(*l, fmt.Sprintf(format, args...))
	return nil
}

func (l *lines) Folder(path string) error    { return l.say("%s/", path) }
func (l *lines) Link(path, old string) error { return l.say("%s==%s", path, old) }
func (l *lines) Remove(path string) error    { return l.say("-%s", path) }
func (l *lines) Create(path string, e Entry, r io.Reader) error {
	p, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return l.say("%s=%.9s%s", path, p, e.Target)
}

// Extract makes what is left of a path, of the layers that have it.
func TestExtract(t *testing.T) {
	t.Parallel()
	layers := [][]byte{
		written("a/", "a/kept=1", "a/gone=1", "a/sub/", "a/sub/deep=1", "b=1", "never=read"),
		written("a/.wh.gone", "a/new=2", "a/hard==a/kept", "a/empty=", "a/empty2==a/empty", "link->a/sub/deep", "to->a"),
	}
	tree := NewTree(false)
	var ins []Input
	for _, p := range layers {
		if err := tree.AddIndexes([]*Index{indexOf(t, p)}); err != nil {
			t.Fatal(err)
		}
		ins = append(ins, tarInput(p))
	}
	for name, want := range map[string]string{
		"a":       "empty= empty2==empty sub/ hard=1 kept==hard sub/deep=1 new=2",
		"to":      "empty= empty2==empty sub/ hard=1 kept==hard sub/deep=1 new=2",
		"a/sub":   "deep=1",
		"a/hard":  "hard=1",
		"/link":   "deep=1",
		"b":       "b=1",
		"a/empty": "empty=",
		"/":       "a/ a/empty= a/empty2==a/empty a/sub/ link=a/sub/deep to=a a/hard=1 a/kept==a/hard a/sub/deep=1 b=1 never=read a/new=2",
	} {
		var got lines
		if err := tree.Extract(t.Context(), name, ins, &got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s gives %s, want %s", name, text, want)
		}
	}
	if err := tree.Extract(t.Context(), "a/gone", ins, new(lines)); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("what is gone: %v", err)
	}
}

// What a layer has in place of what its index says is damage.
func TestExtractOfOtherContent(t *testing.T) {
	t.Parallel()
	for name, other := range map[string][]byte{
		"other bytes": written("a=11", "b=2"), "less": written("a=1", "b=2"), "more": written("a=111", "b=2"), "fewer members": written("b=22"),
	} {
		tree := NewTree(false)
		if err := tree.AddIndexes([]*Index{indexOf(t, written("x=", "a=12"))}); err != nil {
			t.Fatal(err)
		}
		if name != "fewer members" {
			other = slices.Concat(written("x=")[:512], other)
		}
		if err := tree.Extract(t.Context(), "a", []Input{tarInput(other)}, new(lines)); !errors.Is(err, content.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseIndex(f *testing.F) {
	for _, p := range [][]byte{written("a=1", "d/", "l->a", "h==a"), written()} {
		x, err := tarInput(p).Index(f.Context(), new(IndexBudget))
		if err != nil {
			f.Fatal(err)
		}
		text, err := x.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		x, err := ParseIndex(p, new(IndexBudget))
		if err != nil {
			if !errors.Is(err, content.ErrCorrupt) && !errors.Is(err, content.ErrUnsupported) {
				t.Errorf("the error is %v", err)
			}
			return
		}
		text, err := x.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if y, err := ParseIndex(text, new(IndexBudget)); err != nil || len(y.members) != len(x.members) {
			t.Errorf("what it was parsed to is no index: %v", err)
		}
		_ = NewTree(false).AddIndexes([]*Index{x})
	})
}
