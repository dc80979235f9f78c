package layer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

// plant makes files below a fresh folder: a name ending in a slash is a folder,
// a value "-> x" a link, "+x …" an executable.
func plant(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, what := range files {
		p := filepath.Join(root, filepath.FromSlash(name))
		must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		to, isLink := strings.CutPrefix(what, "-> ")
		switch {
		case strings.HasSuffix(name, "/"):
			must(t, os.MkdirAll(p, 0o755))
		case isLink:
			must(t, os.Symlink(to, p))
		default:
			mode := os.FileMode(0o644)
			if strings.HasPrefix(what, "+x ") {
				mode = 0o755
			}
			must(t, os.WriteFile(p, []byte(what), mode))
		}
	}
	return root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pack is Write with its bytes.
func pack(t *testing.T, root string, o layer.Options) (layer.Result, []byte) {
	t.Helper()
	var buf bytes.Buffer
	res, err := layer.Write(t.Context(), &buf, root, o)
	must(t, err)
	return res, buf.Bytes()
}

// headers reads a plain tar back.
func headers(t *testing.T, p []byte) []*tar.Header {
	t.Helper()
	var all []*tar.Header
	for tr := tar.NewReader(bytes.NewReader(p)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		must(t, err)
		all = append(all, h)
	}
}

func names(hs []*tar.Header) []string {
	var ns []string
	for _, h := range hs {
		ns = append(ns, h.Name)
	}
	return ns
}

func TestSameContentGivesSameDigestAnywhere(t *testing.T) {
	files := map[string]string{"a/b": "one", "a/c": "+x two", "z/": "", "d": "three"}
	one, two := plant(t, files), plant(t, files)
	must(t, os.Chtimes(filepath.Join(two, "d"), time.Now(), time.Unix(12345, 6789)))
	must(t, os.Chmod(filepath.Join(two, "a/b"), 0o600))
	must(t, os.Chmod(filepath.Join(two, "z"), 0o700))
	for _, c := range []layer.Compression{layer.None, layer.Gzip, layer.Zstd} {
		r1, p1 := pack(t, one, layer.Options{Compression: c})
		r2, p2 := pack(t, two, layer.Options{Compression: c})
		if r1 != r2 || !bytes.Equal(p1, p2) {
			t.Errorf("%s: %+v and %+v differ", c, r1, r2)
		}
	}
}

func TestMembersStandInByteOrderParentsFirst(t *testing.T) {
	root := plant(t, map[string]string{"a/c": "", "a-b": "", "a.txt": "", "a/b/d": "", "B": "", "a0": ""})
	_, p := pack(t, root, layer.Options{})
	got := names(headers(t, p))
	want := []string{"B", "a-b", "a.txt", "a/", "a/b/", "a/b/d", "a/c", "a0"}
	if !slices.Equal(got, want) || !slices.IsSorted(got) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMembersAreNormalised(t *testing.T) {
	root := plant(t, map[string]string{"dir/tool": "+x x", "plain": "text", "link": "-> plain"})
	must(t, os.Chmod(filepath.Join(root, "plain"), 0o604))
	_, p := pack(t, root, layer.Options{})
	modes := map[string]int64{"dir/": 0o755, "dir/tool": 0o755, "plain": 0o644, "link": 0o777}
	if runtime.GOOS == "windows" {
		modes["dir/tool"] = 0o644
	}
	for _, h := range headers(t, p) {
		if h.Mode != modes[h.Name] || h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" ||
			!h.ModTime.Equal(time.Unix(0, 0)) || h.Format != tar.FormatUSTAR {
			t.Errorf("%s: %+v", h.Name, h)
		}
	}
}

func TestSourceDateEpochOnlyLowersTimes(t *testing.T) {
	root := plant(t, map[string]string{"old": "", "new": "", "ancient": ""})
	must(t, os.Chtimes(filepath.Join(root, "old"), time.Time{}, time.Unix(1000, 999)))
	must(t, os.Chtimes(filepath.Join(root, "new"), time.Time{}, time.Unix(3000, 0)))
	must(t, os.Chtimes(filepath.Join(root, "ancient"), time.Time{}, time.Unix(-5, 0)))
	_, p := pack(t, root, layer.Options{Epoch: time.Unix(2000, 0), Prefix: "opt/x"})
	want := map[string]int64{"old": 1000, "new": 2000, "ancient": 0}
	for _, h := range headers(t, p) {
		if w, ok := want[strings.TrimPrefix(h.Name, "opt/x/")]; ok && h.ModTime.Unix() != w {
			t.Errorf("%s: time %d, want %d", h.Name, h.ModTime.Unix(), w)
		}
		if h.ModTime.Unix() > 2000 {
			t.Errorf("%s is newer than the epoch: %v", h.Name, h.ModTime)
		}
	}
}

func TestParseEpoch(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "1700000000": 1700000000, "253402300799": 253402300799} {
		if got, err := layer.ParseEpoch(s); err != nil || got.Unix() != want || got.IsZero() {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	if got, err := layer.ParseEpoch(""); err != nil || !got.IsZero() {
		t.Errorf("unset: %v, %v", got, err)
	}
	for _, s := range []string{"x", "-1", "+1", "1.5", " 1", "0x10", "253402300800", "99999999999999999999"} {
		if _, err := layer.ParseEpoch(s); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestPrefixMakesTheFoldersAboveIt(t *testing.T) {
	root := plant(t, map[string]string{"f": ""})
	for prefix, want := range map[string][]string{
		"":               {"f"},
		"/":              {"f"},
		"/usr/local/go/": {"usr/", "usr/local/", "usr/local/go/", "usr/local/go/f"},
		"../../etc/./x":  {"etc/", "etc/x/", "etc/x/f"},
	} {
		res, p := pack(t, root, layer.Options{Prefix: prefix})
		if got := names(headers(t, p)); !slices.Equal(got, want) || res.Members != len(want) {
			t.Errorf("%q: %q (%d members), want %q", prefix, got, res.Members, want)
		}
	}
}

func TestWithoutParentsNothingStandsAboveThePrefix(t *testing.T) {
	_, p := pack(t, plant(t, map[string]string{"f": ""}), layer.Options{Prefix: "a/b", OmitParents: true})
	if got, want := names(headers(t, p)), []string{"a/b/", "a/b/f"}; !slices.Equal(got, want) {
		t.Errorf("members %q, want %q", got, want)
	}
}

func TestLinksAreKept(t *testing.T) {
	root := plant(t, map[string]string{"in": "-> dir", "out": "-> ../nowhere", "dir/": ""})
	_, p := pack(t, root, layer.Options{})
	got := map[string]string{}
	for _, h := range headers(t, p) {
		got[h.Name] = string(h.Typeflag) + h.Linkname
	}
	if got["in"] != "2dir" || got["out"] != "2../nowhere" || got["dir/"] != "5" {
		t.Errorf("%q", got)
	}
}

func TestFollowedLinksBecomeWhatTheyLeadTo(t *testing.T) {
	outside := plant(t, map[string]string{"lib/x": "outside", "one": "file outside"})
	root := plant(t, map[string]string{
		"src":  "-> " + filepath.Join(outside, "lib"),
		"file": "-> " + filepath.Join(outside, "one"),
		"own":  "-> real", "real/f": "inside", "twice": "-> real",
	})
	_, p := pack(t, root, layer.Options{FollowLinks: true})
	want := []string{"file", "own/", "own/f", "real/", "real/f", "src/", "src/x", "twice/", "twice/f"}
	hs := headers(t, p)
	if got := names(hs); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, h := range hs {
		if h.Typeflag == tar.TypeSymlink {
			t.Errorf("%s is still a link", h.Name)
		}
	}
	// The root itself may be a link in either mode.
	via := filepath.Join(plant(t, map[string]string{"r": "-> " + root}), "r")
	if _, q := pack(t, via, layer.Options{FollowLinks: true}); !bytes.Equal(p, q) {
		t.Error("a link as root packs differently")
	}
}

func TestLinksThatCannotBeFollowed(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		names string
		class error
	}{
		"to a folder above":     {map[string]string{"a/b/up": "-> ../../a"}, "up", content.ErrInvalid},
		"to the root":           {map[string]string{"a/up": "-> .."}, "up", content.ErrInvalid},
		"two folders in a ring": {map[string]string{"a/x": "-> ../b", "b/x": "-> ../a"}, "x", content.ErrInvalid},
		"to itself":             {map[string]string{"self": "-> self"}, "self", nil},
		"to nothing":            {map[string]string{"gone": "-> nothing"}, "gone", content.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := layer.Write(t.Context(), io.Discard, plant(t, c.files), layer.Options{FollowLinks: true})
			if err == nil || (c.class != nil && !errors.Is(err, c.class)) || !strings.Contains(err.Error(), "follow link ") || !strings.Contains(err.Error(), c.names) {
				t.Errorf("got %v", err)
			}
			if content.Hint(err) == "" {
				t.Error("no hint")
			}
		})
	}
}

func TestHardLinksBecomeFiles(t *testing.T) {
	root := plant(t, map[string]string{"a": "same"})
	must(t, os.Link(filepath.Join(root, "a"), filepath.Join(root, "b")))
	_, p := pack(t, root, layer.Options{})
	for _, h := range headers(t, p) {
		if h.Typeflag != tar.TypeReg || h.Size != 4 {
			t.Errorf("%+v", h)
		}
	}
}

func TestLongAndForeignNamesGoIntoPAX(t *testing.T) {
	long := strings.Repeat("x", 120)
	root := plant(t, map[string]string{"ünï": "1", "a/" + long: "2", "l": "-> " + long + "/" + long, "short": "3"})
	var raw string
	if runtime.GOOS == "linux" {
		raw = "raw\xff\xfename"
		must(t, os.WriteFile(filepath.Join(root, raw), nil, 0o644))
	}
	_, p := pack(t, root, layer.Options{})
	format := map[string]tar.Format{}
	for _, h := range headers(t, p) {
		format[h.Name] = h.Format
		if h.Name == raw && h.PAXRecords["hdrcharset"] != "BINARY" {
			t.Errorf("%q is not announced as bytes: %q", h.Name, h.PAXRecords)
		}
	}
	for _, n := range []string{"ünï", "a/" + long, "l", raw} {
		if n != "" && format[n] != tar.FormatPAX {
			t.Errorf("%q: format %v, want PAX", n, format[n])
		}
	}
	if format["short"] != tar.FormatUSTAR {
		t.Errorf("short: format %v", format["short"])
	}
}

func TestWhatALayerCannotHoldIsRefusedByName(t *testing.T) {
	_, err := layer.Write(t.Context(), io.Discard, plant(t, map[string]string{"d/.wh.gone": ""}), layer.Options{})
	refused(t, err, content.ErrUnsupported, ".wh.gone")
	root := plant(t, map[string]string{"f": ""})
	_, err = layer.Write(t.Context(), io.Discard, filepath.Join(root, "f"), layer.Options{})
	refused(t, err, content.ErrInvalid, "f: ")
	_, err = layer.Write(t.Context(), io.Discard, filepath.Join(root, "none"), layer.Options{})
	refused(t, err, content.ErrNotFound, "none")
}

func refused(t *testing.T, err, class error, name string) {
	t.Helper()
	if !errors.Is(err, class) || !strings.Contains(err.Error(), name) {
		t.Errorf("got %v, want %v naming %q", err, class, name)
	}
}

func TestExcludedFoldersAreLeftOut(t *testing.T) {
	root := plant(t, map[string]string{"keep": "", ".content/blob": "", "sub/keep": ""})
	t.Chdir(root)
	_, p := pack(t, ".", layer.Options{Exclude: []string{filepath.Join(root, ".content"), filepath.Join(root, "absent")}})
	if got := names(headers(t, p)); !slices.Equal(got, []string{"keep", "sub/", "sub/keep"}) {
		t.Errorf("%q", got)
	}
}

// brake is a writer that runs a function once, at the first byte it is given.
type brake struct {
	do func()
}

func (b *brake) Write(p []byte) (int, error) {
	if b.do != nil {
		b.do()
		b.do = nil
	}
	return len(p), nil
}

func TestFilesThatChangeWhileReadAreNamed(t *testing.T) {
	// The file is larger than all buffers together: the first bytes come out while
	// most of it is still to be read.
	const size = 64 << 20
	for name, length := range map[string]int64{"shorter": size / 2, "longer": size + 1} {
		t.Run(name, func(t *testing.T) {
			root := plant(t, map[string]string{"growing": ""})
			p := filepath.Join(root, "growing")
			must(t, os.Truncate(p, size))
			w := &brake{do: func() { must(t, os.Truncate(p, length)) }}
			_, err := layer.Write(t.Context(), w, root, layer.Options{})
			refused(t, err, content.ErrConflict, "growing")
		})
	}
}

func TestTheErrorOfTheDestinationComesBack(t *testing.T) {
	root := plant(t, map[string]string{"big": ""})
	must(t, os.Truncate(filepath.Join(root, "big"), 32<<20))
	for _, c := range []layer.Compression{layer.None, layer.Gzip, layer.Zstd} {
		_, err := layer.Write(t.Context(), full{}, root, layer.Options{Compression: c})
		if !errors.Is(err, content.ErrNoSpace) {
			t.Errorf("%s: %v", c, err)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, content.ErrNoSpace }

func TestCancelledWriteEnds(t *testing.T) {
	// Something that does not shrink, so that bytes come out, before endless zeros.
	noise := make([]byte, 4<<20)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	root := plant(t, map[string]string{"a": string(noise), "big": ""})
	must(t, os.Truncate(filepath.Join(root, "big"), 1<<34))
	for _, c := range []layer.Compression{layer.None, layer.Gzip, layer.Zstd} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := layer.Write(ctx, &brake{do: cancel}, root, layer.Options{Compression: c})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", c, err)
		}
	}
}

func TestBytesDoNotDependOnTheNumberOfProcessors(t *testing.T) {
	root := plant(t, map[string]string{})
	var text bytes.Buffer
	for i := 0; text.Len() < 6<<20; i++ {
		text.WriteString(oci.DigestBytes([]byte{byte(i), byte(i >> 8)}).String())
	}
	must(t, os.WriteFile(filepath.Join(root, "f"), text.Bytes(), 0o644))
	for _, c := range []layer.Compression{layer.Gzip, layer.Zstd} {
		want, _ := pack(t, root, layer.Options{Compression: c})
		for _, n := range []int{1, 3, 8} {
			old := runtime.GOMAXPROCS(n)
			got, _ := pack(t, root, layer.Options{Compression: c})
			runtime.GOMAXPROCS(old)
			if got != want {
				t.Errorf("%s with %d processors: %+v, want %+v", c, n, got, want)
			}
		}
	}
}

func TestResultTellsTheTruth(t *testing.T) {
	root := plant(t, map[string]string{"a/b": strings.Repeat("text ", 300000), "c": ""})
	for _, c := range []layer.Compression{layer.None, layer.Gzip, layer.Zstd} {
		res, p := pack(t, root, layer.Options{Compression: c})
		if res.Digest != oci.DigestBytes(p) || res.Size != int64(len(p)) || res.MediaType != c.MediaType() || res.Members != 3 {
			t.Errorf("%s: %+v", c, res)
		}
		if layer.Detect(p) != c {
			t.Errorf("%s is detected as %s", c, layer.Detect(p))
		}
		again, err := layer.Inspect(t.Context(), bytes.NewReader(p))
		if err != nil || again != res {
			t.Errorf("%s: Inspect says %+v, %v; Write said %+v", c, again, err, res)
		}
		diff, n, err := layer.DiffID(t.Context(), bytes.NewReader(p), res.MediaType)
		if err != nil || diff != res.DiffID || n != res.PlainSize {
			t.Errorf("%s: DiffID says %s, %d, %v", c, diff, n, err)
		}
		if d := res.Descriptor(); d.Digest != res.Digest || d.Size != res.Size || d.MediaType != res.MediaType {
			t.Errorf("%+v", d)
		}
	}
}

func TestAnEmptyFolderIsAnEmptyTar(t *testing.T) {
	res, p := pack(t, t.TempDir(), layer.Options{})
	if res.Members != 0 || len(headers(t, p)) != 0 || len(p) != 1024 {
		t.Errorf("%+v, %d bytes", res, len(p))
	}
}

func TestUnreadableFilesAreNamed(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		t.Skip("permissions do not bind this user")
	}
	root := plant(t, map[string]string{"secret": "x"})
	must(t, os.Chmod(filepath.Join(root, "secret"), 0))
	_, err := layer.Write(t.Context(), io.Discard, root, layer.Options{})
	refused(t, err, content.ErrDenied, "secret")
	if !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}
