package unpack_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
	"dist.example/unpack"
)

var then = time.Unix(1_700_000_000, 123_456_789)

// member is one of a tar: a header with what the tests mostly want, and content.
type member struct {
	tar.Header
	body string
}

func folder(name string, mode int64) member {
	return member{Header: tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode}}
}

func file(name, body string, mode int64) member {
	return member{Header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode}, body: body}
}

func symlink(name, target string) member {
	return member{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}}
}

func hardlink(name, old string) member {
	return member{Header: tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: old}}
}

func special(kind byte, name string) member {
	return member{Header: tar.Header{Typeflag: kind, Name: name, Mode: 0o640, Devmajor: 1, Devminor: 3}}
}

func packed(members ...member) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := m.Header
		h.ModTime, h.Format, h.Size = then, tar.FormatPAX, int64(len(m.body))
		if os.Geteuid() != 0 {
			h.Uid, h.Gid = os.Getuid(), os.Getgid()
		}
		if err := w.WriteHeader(&h); err != nil {
			panic(err)
		}
		_, _ = io.WriteString(w, m.body)
	}
	_ = w.Close()
	return b.Bytes()
}

func input(p []byte) layer.Input {
	return layer.Input{
		Name: "layer", DiffID: oci.DigestBytes(p),
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p)), nil },
	}
}

func inputs(layers ...[]byte) unpack.Layers {
	var ins unpack.Layers
	for _, p := range layers {
		ins = append(ins, input(p))
	}
	return ins
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tempDir is a folder that goes away with the test, whatever the modes in it.
func tempDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() {
		_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				_ = os.Chmod(path, 0o700)
			}
			return nil
		})
	})
	return dir
}

// rootless is whether tests can give no owners.
func rootless() bool { return os.Geteuid() != 0 }

// listing is what is in a folder: a line for each path with its mode, and what it is.
func listing(t testing.TB, dir string) []string {
	t.Helper()
	lines := []string{}
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		line := fi.Mode().String() + " " + filepath.ToSlash(rel)
		switch {
		case fi.Mode().IsRegular():
			body, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf("=%.20s", body)
		case fi.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line = "link " + filepath.ToSlash(rel) + "->" + target
		}
		lines = append(lines, line)
		return nil
	}))
	return lines
}

func wantListing(t *testing.T, dir string, want ...string) {
	t.Helper()
	if got := listing(t, dir); !slices.Equal(got, want) {
		t.Errorf("there is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// wantNothingLeft fails for what a run has left beside its folder.
func wantNothingLeft(t *testing.T, above string, names ...string) {
	t.Helper()
	es, err := os.ReadDir(above)
	must(t, err)
	got := []string{}
	for _, e := range es {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, names) {
		t.Errorf("beside it are %q, want %q", got, names)
	}
}

func TestEveryKindOfEntry(t *testing.T) {
	t.Parallel()
	above := tempDir(t)
	dir := filepath.Join(above, "rootfs")
	attr := file("attr", "x", 0o644)
	attr.PAXRecords = map[string]string{
		"SCHILY.xattr.user.note": "a\x00b", "SCHILY.xattr.user.overlay.opaque": "y", "SCHILY.xattr.trusted.overlay.redirect": "/etc",
	}
	res, err := unpack.Rootfs(t.Context(), dir, inputs(packed(
		folder("closed", 0o500), file("closed/in", "inside", 0o400), folder("sticky", 0o1777),
		file("setuid", "#!", 0o4755), file("empty", "", 0o600), file("no/folder/for/me", "deep", 0o644),
		symlink("dangling", "/nowhere/at/all"), symlink("rel", "closed/in"), hardlink("hard", "setuid"), hardlink("lhard", "rel"),
		special(tar.TypeFifo, "pipe"), attr,
	)), unpack.Options{Rootless: rootless()})
	must(t, err)
	wantListing(t, dir,
		"-rw-r--r-- attr=x", "dr-x------ closed", "-r-------- closed/in=inside", "link dangling->/nowhere/at/all", "-rw------- empty=",
		"urwxr-xr-x hard=#!", "link lhard->closed/in",
		"drwxr-xr-x no", "drwxr-xr-x no/folder", "drwxr-xr-x no/folder/for", "-rw-r--r-- no/folder/for/me=deep",
		"prw-r----- pipe", "link rel->closed/in", "urwxr-xr-x setuid=#!", "dtrwxrwxrwx sticky")
	a, err := os.Stat(filepath.Join(dir, "hard"))
	must(t, err)
	b, err := os.Stat(filepath.Join(dir, "setuid"))
	must(t, err)
	if !os.SameFile(a, b) {
		t.Error("a hard link is no link")
	}
	for _, name := range []string{"attr", "closed", "closed/in", "dangling", "pipe", "setuid"} {
		fi, err := os.Lstat(filepath.Join(dir, name))
		must(t, err)
		if !fi.ModTime().Equal(then) {
			t.Errorf("%s is of %s, want %s", name, fi.ModTime(), then)
		}
	}
	buf := make([]byte, 10)
	if n, err := syscall.Getxattr(filepath.Join(dir, "attr"), "user.note", buf); err != nil {
		t.Logf("no extended attributes here: %v", err)
	} else if string(buf[:n]) != "a\x00b" || res.Skipped.Xattrs != 2 {
		t.Errorf("the attribute is %q, and %+v was left out", buf[:n], res.Skipped)
	}
	if res.Files != 5 || res.Links != 2 || res.Size != 13 {
		t.Errorf("it says %+v", res)
	}
	wantNothingLeft(t, above, "rootfs")
}

func TestUpperLayersTakeAway(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(tempDir(t), "rootfs")
	_, err := unpack.Rootfs(t.Context(), dir, inputs(
		packed(folder("opaque", 0o755), file("opaque/old", "1", 0o644), folder("opaque/deep", 0o755), file("opaque/deep/old", "1", 0o644),
			file("gone", "1", 0o644), file("kept", "1", 0o644), hardlink("kept2", "kept"), folder("becomes/file", 0o755), file("becomes/file/x", "1", 0o644),
			file("becomes/folder", "1", 0o644), symlink("way", "real"), folder("real", 0o755), folder("closed", 0o500), file("closed/in", "1", 0o400)),
		packed(file("opaque/new", "2", 0o644), file("opaque/.wh..wh..opq", "", 0o644), file(".wh.gone", "", 0o644), file(".wh.never", "", 0o644),
			file("kept", "2", 0o600), file("becomes/file", "2", 0o644), file("becomes/folder/x", "2", 0o644), file("way/through", "2", 0o644),
			file("closed/too", "2", 0o400), folder("real", 0o700)),
	), unpack.Options{Rootless: rootless()})
	must(t, err)
	wantListing(t, dir,
		"drwxr-xr-x becomes", "-rw-r--r-- becomes/file=2", "drwxr-xr-x becomes/folder", "-rw-r--r-- becomes/folder/x=2",
		"dr-x------ closed", "-r-------- closed/in=1", "-r-------- closed/too=2",
		"-rw------- kept=2", "-rw-r--r-- kept2=1", "drwxr-xr-x opaque", "-rw-r--r-- opaque/new=2",
		"drwx------ real", "-rw-r--r-- real/through=2", "link way->real")
}

func TestOwnersAndDevicesAreRoots(t *testing.T) {
	t.Parallel()
	theirs := file("theirs", "x", 0o644)
	theirs.Uid, theirs.Gid = 12345, 54321
	p := packed(theirs, special(tar.TypeChar, "null"), special(tar.TypeBlock, "disk"), hardlink("null2", "null"))
	dir := filepath.Join(tempDir(t), "rootfs")
	res, err := unpack.Rootfs(t.Context(), dir, inputs(p), unpack.Options{Rootless: true})
	must(t, err)
	wantListing(t, dir, "-rw-r--r-- theirs=x")
	fi, err := os.Stat(dir)
	must(t, err)
	if want := (unpack.Skipped{Owners: 1, Devices: 2}); res.Skipped != want && !rootless() || fi.Mode().Perm() != 0o700 {
		t.Errorf("it left out %+v, and the root is %v", res.Skipped, fi.Mode())
	}
	if rootless() {
		return
	}
	dir = filepath.Join(tempDir(t), "rootfs")
	res, err = unpack.Rootfs(t.Context(), dir, inputs(p), unpack.Options{})
	must(t, err)
	fi, err = os.Stat(filepath.Join(dir, "theirs"))
	must(t, err)
	if st := fi.Sys().(*syscall.Stat_t); st.Uid != 12345 || st.Gid != 54321 {
		t.Errorf("it is %d:%d's", st.Uid, st.Gid)
	}
	if res.Skipped.Devices > 0 {
		t.Skip("no devices can be made here")
	}
	wantListing(t, dir, "Drw-r----- disk", "Dcrw-r----- null", "Dcrw-r----- null2", "-rw-r--r-- theirs=x")
}

// What a layer says it is stays in the folder, or the layer is refused.
func TestNothingLeadsOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		members []member
		want    error
		has     []string
	}{
		"up":                       {[]member{file("../out", "x", 0o644)}, content.ErrInvalid, nil},
		"up later":                 {[]member{folder("a", 0o755), file("a/../../out", "x", 0o644)}, content.ErrInvalid, nil},
		"absolute":                 {[]member{file("/outside/x", "x", 0o644)}, nil, []string{"drwxr-xr-x outside", "-rw-r--r-- outside/x=x"}},
		"through a link up":        {[]member{symlink("l", "../outside"), file("l/x", "x", 0o644)}, nil, []string{"link l->../outside", "drwxr-xr-x outside", "-rw-r--r-- outside/x=x"}},
		"over a link":              {[]member{symlink("x", "../outside/kept"), file("x", "new", 0o644)}, nil, []string{"-rw-r--r-- x=new"}},
		"a folder over a link":     {[]member{symlink("x", "../outside"), folder("x", 0o700)}, nil, []string{"drwx------ x"}},
		"a hard link up":           {[]member{hardlink("h", "../outside/kept")}, content.ErrInvalid, nil},
		"a hard link through one":  {[]member{symlink("l", "../outside"), hardlink("h", "l/kept")}, content.ErrInvalid, nil},
		"a hard link to a link":    {[]member{symlink("l", "../outside/kept"), hardlink("h", "l"), file("h", "new", 0o644)}, nil, []string{"-rw-r--r-- h=new", "link l->../outside/kept"}},
		"a hard link to nothing":   {[]member{hardlink("h", "never")}, content.ErrInvalid, nil},
		"a hard link to a folder":  {[]member{folder("d", 0o755), hardlink("h", "d")}, content.ErrInvalid, nil},
		"a hard link over its own": {[]member{folder("d", 0o755), file("d/f", "x", 0o644), hardlink("d", "d/f")}, content.ErrUnsupported, nil},
		"a hard link below itself": {[]member{file("f", "x", 0o644), hardlink("f/g", "f")}, content.ErrUnsupported, nil},
		"a hard link to itself":    {[]member{file("f", "x", 0o644), hardlink("f", "f")}, nil, []string{"-rw-r--r-- f=x"}},
		"a whiteout up":            {[]member{file(".wh...", "", 0o644)}, content.ErrInvalid, nil},
		"a whiteout through one":   {[]member{symlink("l", "../outside"), file("l/.wh.kept", "", 0o644)}, nil, []string{"link l->../outside"}},
		"a ring of links":          {[]member{symlink("a", "b"), symlink("b", "a"), file("a/x", "x", 0o644)}, content.ErrInvalid, nil},
		"the root as a file":       {[]member{file(".", "x", 0o644)}, content.ErrInvalid, nil},
		"a link to nothing":        {[]member{symlink("l", "")}, content.ErrInvalid, nil},
		"a name that is too long":  {[]member{file(strings.Repeat("x", 300), "x", 0o644)}, content.ErrUnsupported, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			above := tempDir(t)
			must(t, os.Mkdir(filepath.Join(above, "outside"), 0o755))
			must(t, os.WriteFile(filepath.Join(above, "outside", "kept"), []byte("kept"), 0o644))
			dir := filepath.Join(above, "rootfs")
			_, err := unpack.Rootfs(t.Context(), dir, inputs(packed(c.members...)), unpack.Options{Rootless: rootless()})
			if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
				t.Errorf("the error is %v, want %v", err, c.want)
			}
			wantListing(t, filepath.Join(above, "outside"), "-rw-r--r-- kept=kept")
			if err != nil {
				wantNothingLeft(t, above, "outside")
				return
			}
			wantListing(t, dir, c.has...)
			wantNothingLeft(t, above, "outside", "rootfs")
		})
	}
}

// swapper calls swap when a tar has been read up to off.
type swapper struct {
	r    io.Reader
	n    int
	off  int
	swap func()
}

func (s *swapper) Read(p []byte) (int, error) {
	n, err := s.r.Read(p[:min(len(p), 64<<10)])
	if s.n += n; s.n > s.off && s.swap != nil {
		s.swap()
		s.swap = nil
	}
	return n, err
}

// A folder becomes a link to another one while its files are being made.
func TestASwappedFolderLeadsNowhere(t *testing.T) {
	t.Parallel()
	above := tempDir(t)
	outside, dir := filepath.Join(above, "outside"), filepath.Join(above, "rootfs")
	must(t, os.Mkdir(outside, 0o755))
	members := []member{folder("a", 0o755), file("a/1", "x", 0o644)}
	for i := range 100 { // more than are kept open
		members = append(members, file(fmt.Sprintf("d%d/f", i), "x", 0o644))
	}
	members = append(members, file("pad", strings.Repeat("x", 8<<20), 0o644), file("a/2", "x", 0o644), folder("a/sub", 0o755), file("a/sub/3", "x", 0o644))
	p := packed(members...)
	in := input(p)
	in.Open = func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(&swapper{r: bytes.NewReader(p), off: len(p) - 2<<20, swap: func() {
			a := filepath.Join(above, ".rootfs.dist-unpack", "tree", "a")
			if err := errors.Join(os.Rename(a, a+"-moved"), os.Symlink(outside, a)); err != nil {
				t.Error(err)
			}
		}}), nil
	}
	if _, err := unpack.Rootfs(t.Context(), dir, unpack.Layers{in}, unpack.Options{Rootless: rootless()}); err == nil {
		t.Error("nobody noticed")
	}
	wantListing(t, outside)
	wantNothingLeft(t, above, "outside")
}

func TestWhatIsInTheWayStays(t *testing.T) {
	t.Parallel()
	above := tempDir(t)
	p := inputs(packed(file("f", "x", 0o644)))
	o := unpack.Options{Rootless: rootless()}
	at := func(name string) string { return filepath.Join(above, name) }
	must(t, os.WriteFile(at("file"), nil, 0o644))
	must(t, os.MkdirAll(at("full/of"), 0o755))
	must(t, os.Mkdir(at("empty"), 0o755))
	must(t, os.Symlink("empty", at("link")))
	must(t, os.Symlink("nowhere", at("broken")))
	for _, name := range []string{"file", "full", "broken"} {
		if _, err := unpack.Rootfs(t.Context(), at(name), p, o); !errors.Is(err, content.ErrConflict) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
	for _, name := range []string{"link", "new/folders/above"} {
		_, err := unpack.Rootfs(t.Context(), at(name), p, o)
		must(t, err)
		wantListing(t, at(name)+"/.", "-rw-r--r-- f=x")
	}
	wantListing(t, at("empty"), "-rw-r--r-- f=x")
	wantNothingLeft(t, above, "broken", "empty", "file", "full", "link", "new")
}

// A run that was killed leaves its stage, which may have folders that are closed.
func TestARerunStartsClean(t *testing.T) {
	t.Parallel()
	above := tempDir(t)
	left := filepath.Join(above, ".rootfs.dist-unpack")
	must(t, os.MkdirAll(filepath.Join(left, "tree", "half", "closed"), 0o755))
	must(t, os.WriteFile(filepath.Join(left, "lock"), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(left, "tree", "half", "closed", "f"), nil, 0o600))
	must(t, os.Chmod(filepath.Join(left, "tree", "half", "closed"), 0))
	must(t, os.Chmod(filepath.Join(left, "tree", "half"), 0))
	dir := filepath.Join(above, "rootfs")
	_, err := unpack.Rootfs(t.Context(), dir, inputs(packed(file("f", "x", 0o644))), unpack.Options{Rootless: rootless()})
	must(t, err)
	wantListing(t, dir, "-rw-r--r-- f=x")
	wantNothingLeft(t, above, "rootfs")
}

// Who may write to the folder above may have put something where the stage is to be.
func TestAStageOfOthersIsNotUsed(t *testing.T) {
	t.Parallel()
	p := inputs(packed(file("f", "x", 0o644)))
	for name, lay := range map[string]func(above, stage string) error{
		"a link":         func(above, stage string) error { return os.Symlink("outside", stage) },
		"a file":         func(above, stage string) error { return os.WriteFile(stage, nil, 0o600) },
		"open to others": func(above, stage string) error { return errors.Join(os.Mkdir(stage, 0o777), os.Chmod(stage, 0o777)) },
		"a lock that is a link": func(above, stage string) error {
			return errors.Join(os.Mkdir(stage, 0o700), os.Symlink("../outside/new", filepath.Join(stage, "lock")))
		},
		"another's": func(above, stage string) error {
			if rootless() {
				return os.Symlink("outside", stage) // only root can give it away
			}
			return errors.Join(os.Mkdir(stage, 0o700), os.Chown(stage, 12345, 12345))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			above := tempDir(t)
			must(t, os.Mkdir(filepath.Join(above, "outside"), 0o755))
			must(t, lay(above, filepath.Join(above, ".rootfs.dist-unpack")))
			if _, err := unpack.Rootfs(t.Context(), filepath.Join(above, "rootfs"), p, unpack.Options{Rootless: rootless()}); err == nil {
				t.Error("it was used")
			}
			wantListing(t, filepath.Join(above, "outside"))
			wantNothingLeft(t, above, ".rootfs.dist-unpack", "outside")
		})
	}
}

func TestWhatComesMeanwhileStays(t *testing.T) {
	t.Parallel()
	for name, lay := range map[string]func(dir string) error{
		"a file":        func(dir string) error { return os.WriteFile(dir, nil, 0o644) },
		"a link":        func(dir string) error { return os.Symlink("elsewhere", dir) },
		"a full folder": func(dir string) error { return os.MkdirAll(filepath.Join(dir, "x"), 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			above := tempDir(t)
			dir := filepath.Join(above, "rootfs")
			_, err := unpack.Rootfs(t.Context(), dir, inputs(packed(file("f", "x", 0o644))), unpack.Options{Rootless: rootless(), Hook: func(point string) {
				if point == "unpack.finished" {
					must(t, lay(dir))
				}
			}})
			if !errors.Is(err, content.ErrConflict) {
				t.Errorf("the error is %v", err)
			}
			if _, err := os.Lstat(filepath.Join(dir, "f")); err == nil {
				t.Error("it was replaced")
			}
			wantNothingLeft(t, above, "rootfs")
		})
	}
}

func TestNumbersThatNoUserHas(t *testing.T) {
	t.Parallel()
	if rootless() {
		t.Skip("only root gives owners away")
	}
	for _, id := range []int{-1, 1 << 32, 1<<32 - 1} {
		setuid := file("f", "x", 0o4755)
		setuid.Uid = id
		_, err := unpack.Rootfs(t.Context(), filepath.Join(tempDir(t), "rootfs"), inputs(packed(setuid)), unpack.Options{})
		if !errors.Is(err, content.ErrUnsupported) {
			t.Errorf("%d: the error is %v", id, err)
		}
	}
}

func TestOnlyOneUnpacksToAFolder(t *testing.T) {
	t.Parallel()
	above := tempDir(t)
	dir := filepath.Join(above, "rootfs")
	p := inputs(packed(file("f", "x", 0o644)))
	var second error
	_, err := unpack.Rootfs(t.Context(), dir, p, unpack.Options{Rootless: rootless(), Hook: func(point string) {
		if point == "unpack.layer" {
			_, second = unpack.Rootfs(t.Context(), dir, p, unpack.Options{Rootless: rootless()})
		}
	}})
	must(t, err)
	if !errors.Is(second, content.ErrConflict) {
		t.Errorf("the error of the second is %v", second)
	}
	wantNothingLeft(t, above, "rootfs")
}

func TestLayersAreHeldToWhatTheySay(t *testing.T) {
	t.Parallel()
	p := packed(file("f", strings.Repeat("x", 1000), 0o644))
	other := input(p)
	other.DiffID = oci.DigestBytes([]byte("other"))
	cut := input(p[:len(p)-1700])
	// What the layer has that cannot be came of damage, as its end tells.
	odd := packed(file("../f", "x", 0o644))
	damaged := input(odd)
	damaged.Open = func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(odd), iotest.ErrReader(content.ErrCorrupt))), nil
	}
	windows := input(p)
	windows.MediaType = "application/vnd.example.unknown"
	for name, c := range map[string]struct {
		in   layer.Input
		max  int64
		want error
	}{
		"another diff_id":    {other, 0, content.ErrCorrupt},
		"damaged":            {damaged, 0, content.ErrCorrupt},
		"cut short":          {cut, 0, content.ErrInvalid},
		"no tar":             {input([]byte("not a tar at all")), 0, content.ErrInvalid},
		"of an unknown type": {windows, 0, content.ErrUnsupported},
		"too large":          {input(p), 999, content.ErrUnsupported},
		"large enough":       {input(p), 1000, nil},
		"empty":              {input(packed(file("f", "", 0o644))), 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			above := tempDir(t)
			_, err := unpack.Rootfs(t.Context(), filepath.Join(above, "rootfs"), unpack.Layers{input(packed(file("g", "", 0o644))), c.in}, unpack.Options{Rootless: rootless(), MaxSize: c.max})
			if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
				t.Errorf("the error is %v, want %v", err, c.want)
			}
			if err != nil {
				wantNothingLeft(t, above)
			}
		})
	}
	// A size that would be less than nothing when another is added to it.
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(t, w.WriteHeader(&tar.Header{Name: "small", Size: 1, Mode: 0o644}))
	_, _ = w.Write([]byte("x"))
	must(t, w.WriteHeader(&tar.Header{Name: "huge", Size: 1<<63 - 1, Mode: 0o644, Format: tar.FormatPAX}))
	if _, err := unpack.Rootfs(t.Context(), filepath.Join(tempDir(t), "rootfs"), inputs(b.Bytes()), unpack.Options{Rootless: rootless(), MaxSize: 1000}); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("more than all: the error is %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	above := tempDir(t)
	_, err := unpack.Rootfs(ctx, filepath.Join(above, "rootfs"), inputs(p, p), unpack.Options{Rootless: rootless(), Hook: func(string) { cancel(stop) }})
	if !errors.Is(err, stop) {
		t.Errorf("the error is %v", err)
	}
	wantNothingLeft(t, above)
}

// sparseTar is a tar of one file of size bytes that has data at 8192, in the oldest form
// of GNU tar.
func sparseTar(t *testing.T, size int64, data string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "sparse", Mode: 0o644, Size: int64(len(data)), ModTime: then.Truncate(time.Second), Uid: os.Getuid(), Gid: os.Getgid(), Format: tar.FormatGNU}))
	_, err := io.WriteString(w, data)
	must(t, err)
	must(t, w.Close())
	p := b.Bytes()
	p[156] = tar.TypeGNUSparse
	copy(p[386:], fmt.Sprintf("%011o\x00%011o\x00", 8192, len(data)))
	copy(p[483:], fmt.Sprintf("%011o\x00", size))
	copy(p[148:], "        ")
	sum := 0
	for _, c := range p[:512] {
		sum += int(c)
	}
	copy(p[148:], fmt.Sprintf("%06o\x00 ", sum))
	return p
}

// Holes stay holes, and count as the bytes that they stand for.
func TestSparseFiles(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	data := strings.Repeat("x", 5000) + strings.Repeat("\x00", 300<<10) + "end"
	p := sparseTar(t, size, data)
	dir := filepath.Join(tempDir(t), "rootfs")
	res, err := unpack.Rootfs(t.Context(), dir, inputs(p), unpack.Options{Rootless: rootless()})
	must(t, err)
	got, err := os.ReadFile(filepath.Join(dir, "sparse"))
	must(t, err)
	want := make([]byte, size)
	copy(want[8192:], data)
	if !bytes.Equal(got, want) || res.Size != size || res.Skipped != (unpack.Skipped{}) {
		t.Errorf("other bytes, or %+v", res)
	}
	fi, err := os.Stat(filepath.Join(dir, "sparse"))
	must(t, err)
	if blocks := fi.Sys().(*syscall.Stat_t).Blocks; blocks > 200 {
		t.Errorf("it takes %d blocks", blocks)
	}
	dir = filepath.Join(tempDir(t), "rootfs")
	if _, err := unpack.Rootfs(t.Context(), dir, inputs(p), unpack.Options{Rootless: rootless(), MaxSize: size - 1}); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("beyond the bound: %v", err)
	}
}
