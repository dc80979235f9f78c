package testscripts

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"dist.example/layer"
)

// madeImage is an image whose layers were thought of by hand.
type madeImage struct {
	name   string
	layers [][]layerMember
	// noUmoci and noTar say why one does not take part, "" if it does.
	noUmoci, noTar string
	known          []knownDiff
}

// knownDiff is what one of the others does in another way, and why dist is right.
type knownDiff struct{ program, path, field, why string }

func (image madeImage) knownOf(program string) known {
	always := map[string]known{"umoci": knownOfUmoci, "tar": knownOfTar}[program]
	return func(d treeDiff) string {
		for _, k := range image.known {
			if k.program == program && k.path == d.path && k.field == d.field {
				return k.why
			}
		}
		return always(d)
	}
}

// layerMember is one entry of a layer's tar.
type layerMember struct {
	tar.Header
	content string
}

var longAgo = time.Unix(1_600_000_000, 0)

func aFile(name, content string, mode int64) layerMember {
	return layerMember{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content)), ModTime: longAgo}, content}
}

func aFolder(name string, mode int64) layerMember {
	return layerMember{tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode, ModTime: longAgo}, ""}
}

func aLink(name, target string) layerMember {
	return layerMember{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777, ModTime: longAgo}, ""}
}

// aHardLink says of owner, mode and time what the file says that it is one more name of.
func aHardLink(name, target string) layerMember {
	return layerMember{tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target, Mode: 0o644, ModTime: longAgo}, ""}
}

func aDevice(kind byte, name string, major, minor int64) layerMember {
	return layerMember{tar.Header{Typeflag: kind, Name: name, Mode: 0o660, Devmajor: major, Devminor: minor, ModTime: longAgo}, ""}
}

func aWhiteout(name string) layerMember {
	dir, base := path.Split(name)
	return aFile(dir+".wh."+base, "", 0o644)
}

func anOpaque(folder string) layerMember { return aFile(folder+"/.wh..wh..opq", "", 0o644) }

func (m layerMember) at(seconds, nanoseconds int64) layerMember {
	m.ModTime = time.Unix(seconds, nanoseconds)
	m.Format = tar.FormatPAX
	return m
}

func (m layerMember) of(uid, gid int) layerMember {
	m.Uid, m.Gid = uid, gid
	return m
}

func (m layerMember) as(f tar.Format) layerMember {
	m.Format = f
	return m
}

func (m layerMember) xattrs(pairs ...string) layerMember {
	m.PAXRecords = map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m.PAXRecords["SCHILY.xattr."+pairs[i]] = pairs[i+1]
	}
	return m
}

func tarOf(t *testing.T, members []layerMember) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		if err := w.WriteHeader(&m.Header); err != nil {
			t.Fatalf("%q: %v", m.Name, err)
		}
		if _, err := io.WriteString(w, m.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestUnpackMadeLayersAsOthersDo has dist, umoci and tar unpack layers with every kind of
// entry and whiteout. dist gets layers in gzip, zstd and plain, umoci the same in gzip,
// since its releases up to 0.4.7 know no zstd, and tar the tars.
func TestUnpackMadeLayersAsOthersDo(t *testing.T) {
	meetUnpackers(t)
	for _, image := range madeImages() {
		t.Run(image.name, func(t *testing.T) {
			dir := t.TempDir()
			var tars [][]byte
			var files []string
			for i, members := range image.layers {
				tars = append(tars, tarOf(t, members))
				files = append(files, filepath.Join(dir, "layer"+strconv.Itoa(i)+".tar"))
				writeFile(t, files[i], tars[i])
			}
			mixed, zipped := filepath.Join(dir, "mixed"), filepath.Join(dir, "zipped")
			writeLayout(t, mixed, "v1", tars, layer.Zstd, layer.None, layer.Gzip)
			writeLayout(t, zipped, "v1", tars, layer.Gzip)
			dist := distUnpacks(t, mixed, "v1")
			t.Run("gzip", func(t *testing.T) { wantSameTree(t, dist, distUnpacks(t, zipped, "v1"), nil) })
			t.Run("umoci", func(t *testing.T) {
				meets(t, unpackers["umoci"], image.noUmoci)
				wantSameTree(t, dist, umociUnpacks(t, zipped, "v1"), image.knownOf("umoci"))
			})
			t.Run("tar", func(t *testing.T) {
				meets(t, unpackers["tar"], image.noTar)
				wantSameTree(t, dist, tarUnpacks(t, files...), image.knownOf("tar"))
			})
		})
	}
}

// makeWay does in dir what a layer means for those below and tar does not do: whiteouts
// go first, as they concern nothing in their own layer, and so does what an entry
// replaces, unless both are folders (layer.md, "Changeset over existing files"). Names
// are resolved in dir.
func makeWay(file, dir string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := makeWayFor(root, h); err != nil {
			return err
		}
	}
}

func makeWayFor(root *os.Root, h *tar.Header) error {
	name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
	folder, base := path.Split(name)
	hidden, marked := strings.CutPrefix(base, ".wh.")
	switch {
	case name == "":
		return nil
	case base == ".wh..wh..opq":
		entries, err := fs.ReadDir(root.FS(), path.Clean(folder))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if err := root.RemoveAll(folder + e.Name()); err != nil {
				return err
			}
		}
		return nil
	case marked:
		name = folder + hidden
	default:
		fi, err := root.Lstat(name)
		if err != nil || fi.IsDir() && h.Typeflag == tar.TypeDir {
			return nil
		}
	}
	if err := root.RemoveAll(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
