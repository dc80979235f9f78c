package client_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"dist.example/bundle"
	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
)

// refusedBy imports data in every way, each time into a store that has had nothing else,
// and checks that it is refused as one of classes, that nothing of it is visible, that the
// store is sound, and that the good bundle, whose tar is goodData, comes in afterwards.
func refusedBy(t *testing.T, data []byte, good *madeBundle, goodData []byte, classes ...error) {
	t.Helper()
	for _, way := range []string{"file", "stream"} {
		c := newClient(t)
		var err error
		if way == "file" {
			_, err = importFrom(t, c, client.ImportOptions{}, fileOf(t, data))
		} else {
			_, err = importStream(c, t.Context(), data)
		}
		if !slices.ContainsFunc(classes, func(class error) bool { return isClass(err, class) }) {
			t.Errorf("%s: %v, want one of %v", way, err, classes)
		}
		if n := names(t, c); len(n) > 0 {
			t.Errorf("%s: names %v are visible", way, n)
		}
		sound(t, c)
		if _, err := importStream(c, t.Context(), goodData); err != nil {
			t.Errorf("%s: the good one afterwards: %v", way, err)
			continue
		}
		whole(t, c, good)
	}
}

func TestABundleThatContradictsItsContentsIsRefused(t *testing.T) {
	t.Parallel()
	good := smallBundle(t)
	members := good.members()
	goodData := tarOf(t, members)
	lastBlob := len(members) - 1
	header := func(name string, flag byte, change ...func(*tar.Header)) madeMember {
		m := madeMember{Header: tar.Header{Typeflag: flag, Name: name, Mode: 0o644}}
		for _, c := range change {
			c(&m.Header)
		}
		return m
	}
	with := func(m ...madeMember) []madeMember { return append(slices.Clone(members), m...) }
	before := func(m madeMember) []madeMember { return append([]madeMember{m}, members...) }
	swapped := slices.Clone(members)
	swapped[lastBlob].data = bytes.Repeat([]byte("x"), int(swapped[lastBlob].Size))
	longer := slices.Clone(members)
	longer[lastBlob] = memberOf(longer[lastBlob].Name, append(slices.Clone(longer[lastBlob].data), 'x'))
	index := slices.Clone(members)
	index[2] = memberOf("index.json", append(slices.Clone(index[2].data), '\n'))
	late := append(slices.Clone(members[:1]), members[2:]...)
	linked := func(h *tar.Header) { h.Linkname = members[lastBlob].Name }
	for name, bad := range map[string][]madeMember{
		"a member that is not listed":      with(memberOf("README", []byte("hello"))),
		"a blob that is not listed":        with(blobMember(oci.DigestBytes([]byte("more")), []byte("more"))),
		"a blob that is missing":           members[:lastBlob],
		"a blob that comes twice":          with(members[lastBlob]),
		"another blob of that size":        swapped,
		"a blob that is longer":            longer,
		"another index.json":               index,
		"an index.json that is missing":    append(slices.Clone(members[:2]), members[3:]...),
		"a manifest.json nobody listed":    with(memberOf("manifest.json", []byte("[]"))),
		"index.json twice":                 with(members[2]),
		"contents behind the blobs":        append(late, members[1]),
		"contents twice":                   append(slices.Clone(members[:2]), members[1:]...),
		"a name that leads out":            before(memberOf("../evil", []byte("x"))),
		"an absolute name":                 with(memberOf("/etc/passwd", []byte("x"))),
		"dots in a name":                   with(memberOf("blobs/../x", []byte("x"))),
		"a blob under a name with dots":    append(slices.Clone(members[:lastBlob]), memberOf("blobs/./sha256/"+strings.TrimPrefix(members[lastBlob].Name, "blobs/sha256/"), members[lastBlob].data)),
		"a symbolic link":                  with(header("link", tar.TypeSymlink, linked)),
		"a symbolic link before all":       before(header("link", tar.TypeSymlink, linked)),
		"a hard link in place of a blob":   append(slices.Clone(members[:lastBlob]), header(members[lastBlob].Name, tar.TypeLink, func(h *tar.Header) { h.Linkname = members[3].Name })),
		"a device":                         with(header("null", tar.TypeChar, func(h *tar.Header) { h.Devmajor, h.Devminor = 1, 3 })),
		"a pipe":                           with(header("pipe", tar.TypeFifo)),
		"a link that is a document":        before(header("index.json", tar.TypeSymlink, linked)),
		"sums without volumes":             with(memberOf(bundle.SumsFile, []byte(`{"parts":[]}`))),
		"a part without volumes":           with(memberOf(bundle.PartName(oci.DigestBytes(members[lastBlob].data), 0), []byte("x"))),
		"a volume in the middle of blobs":  with(memberOf(bundle.VolumeFile, []byte(`{"version":1}`))),
		"a whole tar behind the first one": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := tarOf(t, bad)
			if bad == nil {
				data = append(tarOf(t, members), tarOf(t, members)...)
				c := newClient(t)
				_, err := importStream(c, t.Context(), data)
				want(t, content.ErrCorrupt, err)
				return
			}
			refusedBy(t, data, good, goodData, content.ErrCorrupt)
		})
	}
}

func TestABundleWithASparseMemberIsRefused(t *testing.T) {
	t.Parallel()
	good := smallBundle(t)
	members := good.members()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(t, w.WriteHeader(&members[0].Header))
	_, err := w.Write(members[0].data)
	must(t, err)
	must(t, w.Flush())
	// The old form of GNU: one hole, and the rest as it was.
	h := make([]byte, 512)
	copy(h, "hole")
	copy(h[100:], "0000644\x000000000\x000000000\x0000000000000\x0000000000000\x00")
	h[156] = 'S'
	copy(h[257:], "ustar  \x00")
	copy(h[483:], "00000001000\x00")
	copy(h[148:], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	b.Write(h)
	rest := tarOf(t, members[1:])
	refusedBy(t, append(b.Bytes(), rest...), good, tarOf(t, members), content.ErrCorrupt)
}

func TestABundleThatIsCutOffIsRefused(t *testing.T) {
	t.Parallel()
	good := smallBundle(t)
	data := tarOf(t, good.members())
	end := len(data) - 1024 // of the last member
	file, stream := newClient(t), newClient(t)
	for n := 0; n < end; n += 512 {
		for _, cut := range []int{n, n + 100} {
			_, ferr := importFrom(t, file, client.ImportOptions{}, fileOf(t, data[:cut]))
			_, serr := importStream(stream, t.Context(), data[:cut])
			for _, err := range []error{ferr, serr} {
				if !isClass(err, content.ErrCorrupt) && !(cut < 512 && isClass(err, content.ErrInvalid)) {
					t.Errorf("cut off behind %d of %d bytes: %v", cut, len(data), err)
				}
			}
			if n := append(names(t, file), names(t, stream)...); len(n) > 0 {
				t.Fatalf("cut off behind %d bytes: names %v", cut, n)
			}
		}
	}
	for _, c := range []*client.Client{file, stream} {
		sound(t, c)
		_, err := importStream(c, t.Context(), data)
		must(t, err)
		whole(t, c, good)
	}
}

// A flipped bit is found, or does no harm: it stands where nobody looks.
func TestFlippedBitsAreFound(t *testing.T) {
	t.Parallel()
	good := smallBundle(t)
	data := tarOf(t, good.members())
	for i := range uint64(60) {
		bad := bytes.Clone(data)
		r := rand.New(rand.NewPCG(i, 8))
		at := r.IntN(len(bad))
		bad[at] ^= 1 << r.IntN(8)
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			c := newClient(t)
			var err error
			if i%2 == 0 {
				_, err = importFrom(t, c, client.ImportOptions{}, fileOf(t, bad))
			} else {
				_, err = importStream(c, t.Context(), bad)
			}
			if err == nil {
				whole(t, c, good)
				return
			}
			if !isClass(err, content.ErrCorrupt) && !isClass(err, content.ErrUnsupported) && !isClass(err, content.ErrInvalid) {
				t.Errorf("%v", err)
			}
			if n := names(t, c); len(n) > 0 {
				t.Errorf("names %v", n)
			}
			_, err = importStream(c, t.Context(), data)
			must(t, err)
			whole(t, c, good)
		})
	}
}

func TestClaimsOfHugeSizesCostNothing(t *testing.T) {
	t.Parallel()
	good := smallBundle(t)
	members := good.members()
	goodData := tarOf(t, members)
	for name, m := range map[string]madeMember{
		"a document":   {Header: tar.Header{Typeflag: tar.TypeReg, Name: "index.json", Size: 1 << 40, Mode: 0o644}},
		"a blob":       {Header: tar.Header{Typeflag: tar.TypeReg, Name: members[len(members)-1].Name, Size: 1 << 50, Mode: 0o644}},
		"another file": {Header: tar.Header{Typeflag: tar.TypeReg, Name: "x", Size: 1 << 50, Mode: 0o644}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			if name != "a document" {
				for _, m := range members[:3] {
					must(t, w.WriteHeader(&m.Header))
					_, err := w.Write(m.data)
					must(t, err)
				}
			}
			must(t, w.WriteHeader(&m.Header))
			refusedBy(t, append(b.Bytes(), make([]byte, 4096)...), good, goodData, content.ErrCorrupt, content.ErrUnsupported)
		})
	}
	c := newClient(t)
	_, err := importStream(c, t.Context(), append(tarOf(t, members), make([]byte, 2<<20)...))
	want(t, content.ErrCorrupt, err)
}
