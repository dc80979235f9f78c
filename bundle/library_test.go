package bundle_test

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dist.example/bundle"
	"dist.example/content"
	"dist.example/content/contenttest"
	"dist.example/oci"
)

// stocked writes a layout that holds s: names in full, and what is about something
// listed without a name.
func stocked(t *testing.T, s contenttest.Stock) string {
	t.Helper()
	var parts []part
	var list []any
	for _, b := range s.Blobs {
		p := part{b.Descriptor, b.Data}
		parts = append(parts, p)
		if m, err := oci.ParseManifest(b.MediaType, b.Data); err == nil && m.Subject != nil {
			list = append(list, p.Descriptor)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Names)) {
		d := s.Names[name]
		d.Annotations = map[string]string{full: name}
		list = append(list, d)
	}
	return layoutWith(t, parts, list...)
}

// packed is the layout in dir as a tar, with only what has a name listed.
func packed(t *testing.T, dir string) string {
	t.Helper()
	var files []file
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		files = append(files, plain(filepath.ToSlash(rel), string(data)))
		return err
	}))
	return tarOf(t, files...)
}

func openLibrary(t *testing.T, path string) *bundle.Library {
	t.Helper()
	l, err := bundle.OpenLibrary(t.Context(), path, func(line string) { t.Error(line) })
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	return l
}

func TestLibrariesKeepTheirPromises(t *testing.T) {
	t.Run("layout", func(t *testing.T) {
		contenttest.Library(t, func(t *testing.T, s contenttest.Stock) content.Library {
			return openLibrary(t, stocked(t, s))
		})
	})
	t.Run("archive", func(t *testing.T) {
		contenttest.Library(t, func(t *testing.T, s contenttest.Stock) content.Library {
			return openLibrary(t, packed(t, stocked(t, s)))
		})
	})
}

// namesIn are the names that l lists, with what they stand for.
func namesIn(t *testing.T, l *bundle.Library) map[string]oci.Digest {
	t.Helper()
	got := map[string]oci.Digest{}
	for n, err := range l.Names(t.Context(), "") {
		must(t, err)
		got[n.Reference.String()] = n.Target.Digest
	}
	return got
}

func has(t *testing.T, l *bundle.Library, repo string, d oci.Digest) bool {
	t.Helper()
	in, err := l.InRepository(t.Context(), repo, d)
	must(t, err)
	return in[0]
}

func TestWhatHasNoRepositoryIsServedInThePlacesOwn(t *testing.T) {
	a, b, c, d, e := newImage(t, "a"), newImage(t, "b"), newImage(t, "c"), newImage(t, "d"), newImage(t, "e")
	dir := layoutWith(t, slices.Concat(a, b, c, d, e, a.about(t, "n")),
		a.entry(full, "docker.io/library/a:v1", oci.AnnotationRefName, "other"), a.about(t, "n").root(),
		b.entry(oci.AnnotationRefName, "v2"), c.entry(), d.entry(oci.AnnotationRefName, "no tag"),
		e.entry(full, "quay.io/e@"+a.root().Digest.String()))
	moved := filepath.Join(t.TempDir(), "My_App.tar")
	must(t, os.Rename(dir, moved))
	l := openLibrary(t, moved)
	got := namesIn(t, l)
	for name, want := range map[string]image{
		"docker.io/library/a:v1": a, "localhost/my_app:v2": b,
		"localhost/my_app@" + c.root().Digest.String(): c, "localhost/my_app@" + d.root().Digest.String(): d,
		"localhost/my_app@" + e.root().Digest.String(): e,
	} {
		if got[name] != want.root().Digest {
			t.Errorf("%s stands for %q in %v", name, got[name], got)
		}
	}
	if len(got) != 5 {
		t.Errorf("the names are %v", got)
	}
	if has(t, l, "localhost/my_app", a.root().Digest) || !has(t, l, "localhost/my_app", c[1].Digest) ||
		!has(t, l, "docker.io/library/a", a.about(t, "n").root().Digest) {
		t.Error("the repositories are not those of the names")
	}
}

func TestANameOfSeveralImagesIsNobodys(t *testing.T) {
	a, b := newImage(t, "a"), newImage(t, "b")
	dir := layoutWith(t, slices.Concat(a, b), a.entry(full, "docker.io/library/x:v1"), b.entry(full, "docker.io/library/x:v1"))
	var told []string
	l, err := bundle.OpenLibrary(t.Context(), dir, func(line string) { told = append(told, line) })
	must(t, err)
	defer l.Close()
	if got := namesIn(t, l); len(got) != 2 || got["docker.io/library/x:v1"] != "" {
		t.Errorf("the names are %v", got)
	}
	if len(told) != 1 || !strings.Contains(told[0], "docker.io/library/x:v1") {
		t.Errorf("told: %q", told)
	}
}

func TestUnlistedManifestsOfAnArchiveAreServed(t *testing.T) {
	a, b := newImage(t, "a"), newImage(t, "b")
	note := a.about(t, "n")
	dir := layoutWith(t, slices.Concat(a, b, note), a.entry(full, "docker.io/library/a:v1"))
	l := openLibrary(t, packed(t, dir))
	n := 0
	for d, err := range l.Referrers(t.Context(), a.root().Digest, "") {
		must(t, err)
		if n++; d.Digest != note.root().Digest {
			t.Errorf("%s refers", d.Digest)
		}
	}
	if n != 1 || !has(t, l, "docker.io/library/a", note.root().Digest) {
		t.Errorf("%d referrers", n)
	}
	if !has(t, l, "localhost/a", b.root().Digest) || has(t, l, "docker.io/library/a", b.root().Digest) {
		t.Error("an image that nothing lists is not in the archive's own repository alone")
	}
}

func TestDockersOldArchivesAreServed(t *testing.T) {
	name, layers := saved(t)
	l := openLibrary(t, name)
	got := namesIn(t, l)
	if got["docker.io/library/demo:v1"] == "" || got["docker.io/library/demo:v1"] != got["quay.io/x/demo:v1"] || len(got) != 3 {
		t.Errorf("the names are %v", got)
	}
	for i, s := range layers {
		d := oci.DigestBytes([]byte(s))
		repo := []string{"docker.io/library/demo", "quay.io/x/demo", "localhost/a"}[i]
		rc, err := l.Fetch(t.Context(), oci.Descriptor{Digest: d, Size: int64(len(s))})
		must(t, err)
		data, err := io.ReadAll(rc)
		must(t, err)
		must(t, rc.Close())
		if string(data) != s || !has(t, l, repo, d) {
			t.Errorf("layer %q of %s comes as %q", s, repo, data)
		}
	}
}

// Blobs leave by the kernel: they are stretches of files that nobody else moves in.
func TestBlobsAreStretchesOfFilesOfTheirOwn(t *testing.T) {
	img := newImage(t, "a")
	dir := layoutWith(t, img, img.entry(full, "docker.io/library/a:v1"))
	for _, place := range []string{dir, packed(t, dir)} {
		l := openLibrary(t, place)
		var files []*os.File
		for range 2 {
			ra, err := l.ReaderAt(t.Context(), img[1].Descriptor)
			must(t, err)
			defer ra.Close()
			f, off, n := ra.(content.Backed).File()
			data, err := io.ReadAll(io.NewSectionReader(f, off, n))
			if err != nil || string(data) != string(img[1].data) {
				t.Errorf("%s: %q, %v", place, data, err)
			}
			files = append(files, f)
		}
		if files[0] == files[1] {
			t.Errorf("%s: two readers share a file", place)
		}
	}
}

func TestAnArchiveThatChangesIsNotServed(t *testing.T) {
	img := newImage(t, "a")
	dir := layoutWith(t, img, img.entry(full, "docker.io/library/a:v1"))
	for how, change := range map[string]func(t *testing.T, name string){
		"grows": func(t *testing.T, name string) {
			f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
			must(t, err)
			_, err = f.WriteString("more")
			must(t, err)
			must(t, f.Close())
		},
		"is replaced": func(t *testing.T, name string) { must(t, os.Rename(packed(t, dir), name)) },
		"is gone":     func(t *testing.T, name string) { must(t, os.Remove(name)) },
	} {
		t.Run(how, func(t *testing.T) {
			name := packed(t, dir)
			var told []string
			l, err := bundle.OpenLibrary(t.Context(), name, func(line string) { told = append(told, line) })
			must(t, err)
			defer l.Close()
			change(t, name)
			for range 2 {
				_, err = l.ReaderAt(t.Context(), img[1].Descriptor)
				if !errors.Is(err, content.ErrUnavailable) {
					t.Errorf("ReaderAt: %v", err)
				}
				_, err = l.Resolve(t.Context(), ref(t, "docker.io/library/a:v1"))
				if !errors.Is(err, content.ErrUnavailable) {
					t.Errorf("Resolve: %v", err)
				}
			}
			if len(told) != 1 {
				t.Errorf("told: %q", told)
			}
		})
	}
}

func TestDamageIsNotServed(t *testing.T) {
	img := newImage(t, "a")
	for part, damage := range map[int]string{1: "longer than it should be, by far", 2: strings.Repeat(" ", int(img[2].Size))} {
		dir := layoutWith(t, img, img.entry(full, "docker.io/library/a:v1"))
		must(t, os.WriteFile(filepath.Join(dir, "blobs", "sha256", img[part].Digest.Encoded()), []byte(damage), 0o600))
		for _, place := range []string{dir, packed(t, dir)} {
			l := openLibrary(t, place)
			if ra, err := l.ReaderAt(t.Context(), img[part].Descriptor); !errors.Is(err, content.ErrCorrupt) {
				t.Errorf("part %d comes as %v, %v", part, ra, err)
			}
			if info, err := l.Info(t.Context(), img[part].Digest); err != nil || info.Place != "damaged" {
				t.Errorf("part %d is %+v, %v", part, info, err)
			}
		}
	}
}

// A blob that is a link out of the layout is damaged, and nothing else suffers from it.
func TestALinkOutOfTheLayoutIsDamage(t *testing.T) {
	img, other := newImage(t, "a"), newImage(t, "b")
	dir := layoutWith(t, slices.Concat(img, other), img.entry(full, "docker.io/library/a:v1"), other.entry(full, "docker.io/library/b:v1"))
	for i := range img {
		blob := filepath.Join(dir, "blobs", "sha256", img[i].Digest.Encoded())
		must(t, os.Rename(blob, filepath.Join(t.TempDir(), "x")))
		if err := os.Symlink(os.DevNull, blob); err != nil {
			t.Skip("no symbolic links here")
		}
	}
	l := openLibrary(t, dir)
	if ra, err := l.ReaderAt(t.Context(), img.root()); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("the link comes as %v, %v", ra, err)
	}
	ra, err := l.ReaderAt(t.Context(), other[1].Descriptor)
	must(t, err)
	must(t, ra.Close())
}

func TestWhatIsNoLibraryIsRefused(t *testing.T) {
	write := func(name, data string) string {
		name = filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(name, []byte(data), 0o600))
		return name
	}
	for name, c := range map[string]struct {
		path  string
		class error
		hint  string
	}{
		"nothing":          {filepath.Join(t.TempDir(), "none"), content.ErrNotFound, ""},
		"an empty folder":  {t.TempDir(), content.ErrNotFound, ""},
		"a compressed tar": {write("a.tar.gz", gzipped(t, "x")), content.ErrUnsupported, "gzip -d"},
		"no tar":           {write("a.tar", strings.Repeat("x", 2048)), content.ErrInvalid, ""},
		"another tar":      {tarOf(t, plain("x", "y")), content.ErrNotFound, ""},
		"a damaged list":   {tarOf(t, plain("index.json", "{")), content.ErrCorrupt, ""},
	} {
		l, err := bundle.OpenLibrary(t.Context(), c.path, nil)
		if !errors.Is(err, c.class) || !strings.Contains(content.Hint(err), c.hint) {
			t.Errorf("%s: %v, %v, hint %q", name, l, err, content.Hint(err))
		}
	}
}

func TestVerifyFindsWhatIsDamaged(t *testing.T) {
	img := newImage(t, "a")
	dir := layoutWith(t, img, img.entry(full, "docker.io/library/a:v1"))
	l := openLibrary(t, dir)
	var last content.Event
	must(t, l.Verify(t.Context(), func(e content.Event) { last = e }))
	if want := img[0].Size + img[1].Size + img[2].Size; last.Kind != content.EventFinished || last.Offset != want || last.Total != want {
		t.Errorf("the last event is %+v", last)
	}
	must(t, os.WriteFile(filepath.Join(dir, "blobs", "sha256", img[1].Digest.Encoded()), []byte(strings.Repeat("x", int(img[1].Size))), 0o600))
	if err := l.Verify(t.Context(), nil); !errors.Is(err, content.ErrCorrupt) || !strings.Contains(err.Error(), img[1].Digest.String()) {
		t.Errorf("got %v", err)
	}
	must(t, os.Remove(filepath.Join(dir, "blobs", "sha256", img[1].Digest.Encoded())))
	must(t, l.Verify(t.Context(), nil))
}
