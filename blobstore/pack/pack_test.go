package pack

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

var testHeader = Header{
	Store:   [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	ID:      7,
	Created: time.Unix(1700000000, 0).UTC(),
}

// blob is content of n bytes that zstd can halve or better, different for each seed.
func blob(n int, seed uint64) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	words := []string{`"layers":[`, `{"mediaType":"application/x"`, `"digest":"sha256:`, `"size":`, "}, ", "\n"}
	var p []byte
	for len(p) < n {
		p = append(p, words[rnd.IntN(len(words))]...)
		p = append(p, byte('a'+rnd.IntN(26)))
	}
	return p[:n]
}

// noise is content that nothing compresses.
func noise(n int, seed uint64) []byte {
	p := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	src.Read(p)
	return p
}

func digest512(p []byte) oci.Digest {
	sum := sha512.Sum512(p)
	return oci.Digest("sha512:" + hex.EncodeToString(sum[:]))
}

// build makes a pack of some blobs and notes and returns it with its records.
func build(t testing.TB) (file []byte, recs []Record, contents [][]byte) {
	t.Helper()
	e := NewEncoder()
	defer e.Release()
	file = EncodeHeader(testHeader)
	add := func(d oci.Digest, media string, p []byte) {
		out, rec, err := e.AppendBlob(file, d, media, p)
		if err != nil {
			t.Fatal(err)
		}
		file, recs, contents = out, append(recs, rec), append(contents, p)
	}
	for i, n := range []int{0, 1, 255, 256, 2000, 5000} {
		p := blob(n, uint64(i))
		add(oci.DigestBytes(p), oci.MediaTypeJSON, p)
		p = blob(n, uint64(100+i))
		add(digest512(p), oci.MediaTypeManifest, p)
	}
	p := noise(3000, 3)
	add(oci.DigestBytes(p), oci.MediaTypeLayerGzip, p)
	note := Note{Type: NoteRef, Seq: 1, Name: "docker.io/library/a:1", New: oci.DigestBytes(p), Why: "pull"}
	out, rec, err := e.AppendNote(file, note)
	if err != nil {
		t.Fatal(err)
	}
	return out, append(recs, rec), append(contents, out[rec.PayloadOffset():])
}

// The bytes of the headers are frozen: packs outlive programs.
func TestGoldenBytes(t *testing.T) {
	check := func(name string, got []byte, want string) {
		t.Helper()
		if h := hex.EncodeToString(got); h != strings.Join(strings.Fields(want), "") {
			t.Errorf("%s:\n got %s\nwant %s", name, h, want)
		}
	}
	check("file header", EncodeHeader(testHeader), `
		44495354504b3031 000102030405060708090a0b0c0d0e0f
		0700000000000000 00f1536500000000
		0000000000000000000000000000000000000000 c8a693a6`)
	e := NewEncoder()
	defer e.Release()
	hello := []byte("hello")
	got, _, err := e.AppendBlob(nil, oci.DigestBytes(hello), oci.MediaTypeManifest, hello)
	if err != nil {
		t.Fatal(err)
	}
	check("sha256 record", got, `
		d1504b52 01 01 00 00 0500000000000000 0500000000000000
		2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
		10000000 7ed7fccc 68656c6c6f`)
	got, _, err = e.AppendBlob(nil, digest512(hello), "", hello)
	if err != nil {
		t.Fatal(err)
	}
	check("sha512 record", got, `
		d1504b52 01 02 00 00 0500000000000000 0500000000000000
		9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca7
		2323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043
		00000000 2da58e8b 68656c6c6f`)
	note := Note{
		Type: NoteRef, Seq: 3, When: time.Unix(1700000000, 0).In(time.FixedZone("", 3600)),
		Name: "docker.io/library/a:1", New: oci.DigestBytes(hello), Why: "pull",
	}
	got, rec, err := e.AppendNote(nil, note)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"ref","seq":3,"when":"2023-11-14T22:13:20Z","name":"docker.io/library/a:1",` +
		`"new":"sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","why":"pull"}`
	if payload := string(got[rec.PayloadOffset():]); payload != want || rec.Kind != KindNote || rec.Codec != CodecRaw {
		t.Errorf("note:\n got %s\nwant %s (%+v)", payload, want, rec)
	}
}

func TestHeaderRoundTrip(t *testing.T) {
	p := EncodeHeader(testHeader)
	got, err := ReadHeader(bytes.NewReader(p))
	if err != nil || got != testHeader {
		t.Fatalf("got %+v, %v", got, err)
	}
	for i := range p {
		bad := bytes.Clone(p)
		bad[i] ^= 4
		if _, err := ReadHeader(bytes.NewReader(bad)); !errors.Is(err, content.ErrCorrupt) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	if _, err := ReadHeader(bytes.NewReader(p[:HeaderSize-1])); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("cut short: %v", err)
	}
	later := bytes.Clone(p)
	later[7] = '2'
	seal(later)
	if _, err := ReadHeader(bytes.NewReader(later)); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("a later format: %v", err)
	}
}

func TestEverythingWrittenIsRead(t *testing.T) {
	file, recs, contents := build(t)
	r := bytes.NewReader(file)
	i := 0
	for e, err := range Scan(r, int64(len(file)), int64(len(file))) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Record != recs[i] || e.Salvaged {
			t.Errorf("record %d: got %+v, want %+v", i, e, recs[i])
		}
		got, err := ReadBlob(r, e.Record)
		if err != nil || !bytes.Equal(got, contents[i]) {
			t.Errorf("record %d: %d bytes, %v", i, len(got), err)
		}
		if rec, err := ReadRecord(r, e.Offset); err != nil || rec != e.Record {
			t.Errorf("ReadRecord %d: %+v, %v", i, rec, err)
		}
		i++
	}
	if i != len(recs) {
		t.Errorf("%d records of %d", i, len(recs))
	}
	last := recs[len(recs)-1]
	if n, err := ReadNote(r, last); err != nil || n.Name != "docker.io/library/a:1" || n.Seq != 1 {
		t.Errorf("note: %+v, %v", n, err)
	}
	if _, err := ReadNote(r, recs[0]); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("a blob read as a note: %v", err)
	}
}

// A changed byte is either in a header, where the scan finds it, or in a payload,
// where the read does; and it costs no record but its own.
func TestDamageAnywhereIsFound(t *testing.T) {
	file, recs, _ := build(t)
	for off := HeaderSize; off < len(file); off++ {
		bad := bytes.Clone(file)
		bad[off] ^= 0x10
		r := bytes.NewReader(bad)
		sound, found := 0, 0
		for e, err := range Scan(r, int64(len(bad)), int64(len(bad))) {
			if err == nil {
				_, err = ReadBlob(r, e.Record)
			}
			switch {
			case err == nil:
				sound++
			case errors.Is(err, content.ErrCorrupt):
				found++
			default:
				t.Fatalf("byte %d: %v", off, err)
			}
		}
		// A frame of zstd has a bit or two that decide nothing.
		if sound+found != len(recs) || found != 1 && !inFrame(recs, int64(off)) {
			t.Fatalf("byte %d: %d records sound of %d, %d damages told", off, sound, len(recs), found)
		}
	}
}

func inFrame(recs []Record, off int64) bool {
	for _, rec := range recs {
		if rec.PayloadOffset() <= off && off < rec.End() {
			return rec.Codec == CodecZstd
		}
	}
	return false
}

func TestReadChecksWhatTheCatalogSays(t *testing.T) {
	file, recs, contents := build(t)
	r := bytes.NewReader(file)
	var rec Record
	for i := range recs {
		if recs[i].Codec == CodecZstd && len(contents[i]) == 5000 {
			rec = recs[i]
		}
	}
	for name, change := range map[string]func(*Record){
		"digest":        func(r *Record) { r.Digest = oci.DigestBytes([]byte("other")) },
		"raw size less": func(r *Record) { r.RawSize-- },
		"raw size more": func(r *Record) { r.RawSize++ },
		"stored less":   func(r *Record) { r.StoredSize-- },
		"past the end":  func(r *Record) { r.Offset = int64(len(file)) },
		"elsewhere":     func(r *Record) { r.Offset-- },
		"huge":          func(r *Record) { r.RawSize = 1 << 40 },
		"negative":      func(r *Record) { r.StoredSize = -1 },
		"codec":         func(r *Record) { r.Codec = CodecRaw },
	} {
		bad := rec
		change(&bad)
		if _, err := ReadBlob(r, bad); !errors.Is(err, content.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*Record){
		"later codec": func(r *Record) { r.Codec = 9 },
		"later flag":  func(r *Record) { r.Flags = 1 },
	} {
		bad := rec
		change(&bad)
		if _, err := ReadBlob(r, bad); !errors.Is(err, content.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadBlob(r, Record{Digest: "sha256:zz"}); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("malformed digest: %v", err)
	}
}

// A frame that decodes to more than its header says does not get the memory.
func TestBombIsCapped(t *testing.T) {
	e := NewEncoder()
	defer e.Release()
	frame := e.encode(nil, make([]byte, MaxRecord))
	rec := Record{Kind: KindBlob, Codec: CodecZstd, Digest: oci.DigestBytes(nil), RawSize: 100, StoredSize: int64(len(frame))}
	file, err := rec.appendHeader(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := bytes.NewReader(append(file, frame...))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = ReadBlob(r, rec)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, content.ErrCorrupt) {
		t.Fatalf("got %v", err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20 {
		t.Errorf("100 bytes took %d bytes of memory", took)
	}
}

func TestCodecChoice(t *testing.T) {
	half := append(noise(100<<10, 1), make([]byte, 100<<10)...)
	for _, c := range []struct {
		name, media string
		p           []byte
		want        Codec
	}{
		{"short", oci.MediaTypeJSON, blob(255, 1), CodecRaw},
		{"text", oci.MediaTypeJSON, blob(4096, 1), CodecZstd},
		{"no type", "", blob(4096, 1), CodecZstd},
		{"noise", oci.MediaTypeOctets, noise(4096, 1), CodecRaw},
		{"said to be gzip", oci.MediaTypeLayerGzip, blob(4096, 1), CodecRaw},
		{"said to be zstd", oci.MediaTypeLayerZstd, blob(4096, 1), CodecRaw},
		{"said to be encrypted", oci.MediaTypeLayer + "+encrypted", blob(4096, 1), CodecRaw},
		{"a picture", "image/png", blob(4096, 1), CodecRaw},
		{"a drawing", "image/svg+xml", blob(4096, 1), CodecZstd},
		{"a beginning that does not shrink", oci.MediaTypeOctets, half, CodecRaw},
		{"saves 3 %", oci.MediaTypeOctets, append(noise(9700, 1), make([]byte, 300)...), CodecRaw},
		{"saves 10 %", oci.MediaTypeOctets, append(noise(9000, 1), make([]byte, 1000)...), CodecZstd},
	} {
		e := NewEncoder()
		out, rec, err := e.AppendBlob([]byte("before"), oci.DigestBytes(c.p), c.media, c.p)
		e.Release()
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if rec.Codec != c.want || rec.Offset != 6 || rec.End() != int64(len(out)) {
			t.Errorf("%s: %+v, %d bytes", c.name, rec, len(out))
		}
		if got, err := ReadBlob(bytes.NewReader(out), rec); err != nil || !bytes.Equal(got, c.p) {
			t.Errorf("%s: read back: %v", c.name, err)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	e := NewEncoder()
	defer e.Release()
	before := []byte("before")
	for _, c := range []struct {
		d    oci.Digest
		p    []byte
		want error
	}{
		{"", nil, content.ErrInvalid},
		{"sha256:ab", blob(4096, 1), content.ErrInvalid},
		{oci.Digest("sha256:" + strings.Repeat("G", 64)), blob(4096, 1), content.ErrInvalid},
		{oci.DigestBytes(nil), make([]byte, MaxRecord+1), content.ErrUnsupported},
	} {
		out, _, err := e.AppendBlob(before, c.d, "", c.p)
		if !errors.Is(err, c.want) || string(out) != "before" {
			t.Errorf("%q of %d bytes: %v, left %q", c.d, len(c.p), err, out)
		}
	}
	out, _, err := e.AppendNote(before, Note{Type: NoteSetting})
	if !errors.Is(err, content.ErrInvalid) || string(out) != "before" {
		t.Errorf("note: %v, left %q", err, out)
	}
}

func TestBelongs(t *testing.T) {
	text, rnd := blob(probeSize, 1), noise(probeSize, 1)
	cut := []byte(strings.Repeat("é", probeSize/2))[:probeSize-1]
	for _, c := range []struct {
		name, media string
		size        int64
		head        []byte
		want        bool
	}{
		{"small", oci.MediaTypeLayerGzip, SmallBlob, nil, true},
		{"empty", "", 0, nil, true},
		{"unknown size", oci.MediaTypeJSON, -1, text, false},
		{"larger layer", oci.MediaTypeLayer, SmallBlob + 1, text, false},
		{"larger JSON", oci.MediaTypeManifest, SmallBlob + 1, text, true},
		{"largest JSON", "application/spdx+json", TextBlob, text, true},
		{"too large JSON", oci.MediaTypeJSON, TextBlob + 1, text, false},
		{"text by look", oci.MediaTypeOctets, SmallBlob + 1, text, true},
		{"text cut in a character", "", SmallBlob + 1, cut, true},
		{"noise by look", oci.MediaTypeOctets, SmallBlob + 1, rnd, false},
		{"noise that claims to be text", "text/plain", SmallBlob + 1, rnd, false},
		{"gzipped JSON", "application/json+gzip", SmallBlob + 1, text, false},
		{"no head", oci.MediaTypeJSON, SmallBlob + 1, nil, false},
	} {
		if got := Belongs(c.media, c.size, c.head); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestMediaHintsAreDistinctAndInvert(t *testing.T) {
	if len(hintOf) != len(mediaHints) {
		t.Fatalf("%d types for %d hints", len(hintOf), len(mediaHints))
	}
	for hint, media := range mediaHints {
		if got, ok := MediaHint(media); !ok || got != hint || hint == 0 {
			t.Errorf("%s: %d, %v", media, got, ok)
		}
		if got, ok := MediaOfHint(hint); !ok || got != media {
			t.Errorf("%d: %s, %v", hint, got, ok)
		}
	}
	if hint, ok := MediaHint("application/x-other"); ok || hint != 0 {
		t.Errorf("an unknown type: %d, %v", hint, ok)
	}
	if hint, ok := MediaHint(""); !ok || hint != 0 {
		t.Errorf("no type: %d, %v", hint, ok)
	}
	if _, ok := MediaOfHint(0); ok {
		t.Error("hint 0 names a type")
	}
}

// The frozen table: a change to a line that is here is a break of the format.
func TestMediaHintsFrozen(t *testing.T) {
	for hint, media := range map[uint32]string{
		1: "application/octet-stream", 2: "application/json", 3: "text/plain", 4: "application/x-tar",
		16: "application/vnd.oci.image.manifest.v1+json", 17: "application/vnd.oci.image.index.v1+json",
		18: "application/vnd.oci.image.config.v1+json", 19: "application/vnd.oci.empty.v1+json",
		20: "application/vnd.oci.image.layer.v1.tar", 21: "application/vnd.oci.image.layer.v1.tar+gzip",
		22: "application/vnd.oci.image.layer.v1.tar+zstd",
		32: "application/vnd.docker.distribution.manifest.v2+json", 33: "application/vnd.docker.distribution.manifest.list.v2+json",
		34: "application/vnd.docker.container.image.v1+json", 35: "application/vnd.docker.image.rootfs.diff.tar.gzip",
		48: "application/vnd.in-toto+json", 51: "application/vnd.dev.sigstore.bundle.v0.3+json", 58: "application/vnd.buildkit.cacheconfig.v0",
	} {
		if got, _ := MediaOfHint(hint); got != media {
			t.Errorf("hint %d is %q, was %q", hint, got, media)
		}
	}
}

// One blob costs no allocation beside the buffer it is appended to.
func TestAppendDoesNotAllocate(t *testing.T) {
	e := NewEncoder()
	defer e.Release()
	for _, p := range [][]byte{blob(2048, 1), noise(2048, 1), blob(100, 1)} {
		d, buf := oci.DigestBytes(p), make([]byte, 0, 1<<20)
		if n := testing.AllocsPerRun(100, func() {
			if _, _, err := e.AppendBlob(buf, d, oci.MediaTypeJSON, p); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%d bytes: %v allocations", len(p), n)
		}
	}
}

// failing is a disk that reports an error from a certain offset on.
type failing struct {
	io.ReaderAt
	from int64
}

var errDisk = errors.New("input/output error")

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if room := f.from - off; room < int64(len(p)) {
		n, _ := f.ReaderAt.ReadAt(p[:max(0, room)], off)
		return n, errDisk
	}
	return f.ReaderAt.ReadAt(p, off)
}

// What the disk refuses is not what is damaged.
func TestDiskErrorsKeepTheirClass(t *testing.T) {
	file, recs, _ := build(t)
	r := failing{bytes.NewReader(file), int64(len(file) - 10)}
	last := recs[len(recs)-1]
	if _, err := ReadBlob(r, last); !errors.Is(err, errDisk) || errors.Is(err, content.ErrCorrupt) {
		t.Errorf("ReadBlob: %v", err)
	}
	if _, err := ReadRecord(failing{r, last.Offset + 10}, last.Offset); !errors.Is(err, errDisk) || errors.Is(err, content.ErrCorrupt) {
		t.Errorf("ReadRecord: %v", err)
	}
	var got error
	for _, err := range Scan(r, int64(len(file)), int64(len(file))) {
		got = err
	}
	if !errors.Is(got, errDisk) || errors.Is(got, content.ErrCorrupt) {
		t.Errorf("Scan: %v", got)
	}
}

func TestNumbersOfNotesAreBounded(t *testing.T) {
	for _, c := range []struct {
		typ  NoteType
		seq  int64
		good bool
	}{{NoteRef, MaxSeq, true}, {NoteRef, MaxSeq + 1, false}, {NoteTrust, 1<<63 - 1, false}, {NoteSetting, 1<<63 - 1, false}, {NoteRef, -1, false}, {"later", 1<<63 - 1, true}} {
		_, err := EncodeNote(Note{Type: c.typ, Seq: c.seq, Name: "n"})
		if got := err == nil; got != c.good {
			t.Errorf("%s %d is written: %v", c.typ, c.seq, err)
		}
		_, err = DecodeNote(fmt.Appendf(nil, `{"type":%q,"seq":%d,"name":"n"}`, c.typ, c.seq))
		if got := err == nil; got != c.good {
			t.Errorf("%s %d is read: %v", c.typ, c.seq, err)
		}
	}
}
