package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"dist.example/content"
	"dist.example/oci"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func gzipped(p []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(p)
	_ = w.Close()
	return b.Bytes()
}

func zstded(p []byte, o ...zstd.EOption) []byte {
	w, err := zstd.NewWriter(nil, o...)
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(p, nil)
}

func tarred(body string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: "f", Mode: 0o644, Size: int64(len(body))})
	_, _ = io.WriteString(w, body)
	_ = w.Close()
	return b.Bytes()
}

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		head string
		want Compression
	}{
		{"", None},
		{"\x1f", None},
		{"\x1f\x8b\x08\x00", Gzip},
		{"\x1f\x8b\x09\x00", None},
		{"\x28\xb5\x2f\xfd", Zstd},
		{"\x28\xb5\x2f", None},
		{"\x50\x2a\x4d\x18", Zstd},
		{"\x5f\x2a\x4d\x18", Zstd},
		{"\x60\x2a\x4d\x18", None},
		{string(tarred("x")[:8]), None},
	} {
		if got := Detect([]byte(c.head)); got != c.want {
			t.Errorf("%q: %s, want %s", c.head, got, c.want)
		}
	}
}

func TestParseCompression(t *testing.T) {
	for _, c := range []Compression{None, Gzip, Zstd} {
		if got, err := ParseCompression(c.String()); err != nil || got != c {
			t.Errorf("%s: %v, %v", c, got, err)
		}
	}
	for _, s := range []string{"", "GZIP", "xz", "compression(7)"} {
		if _, err := ParseCompression(s); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestDiffIDIsOfThePlainBytes(t *testing.T) {
	plain := tarred("hello")
	want := oci.DigestBytes(plain)
	for name, c := range map[string]struct {
		data []byte
		typ  string
	}{
		"plain":              {plain, oci.MediaTypeLayer},
		"gzip":               {gzipped(plain), oci.MediaTypeLayerGzip},
		"docker":             {gzipped(plain), oci.MediaTypeDockerLayer},
		"zstd":               {zstded(plain), oci.MediaTypeLayerZstd},
		"two gzip members":   {append(gzipped(plain[:100]), gzipped(plain[100:])...), oci.MediaTypeLayerGzip},
		"two zstd frames":    {append(zstded(plain[:100]), zstded(plain[100:])...), oci.MediaTypeLayerZstd},
		"no promise":         {gzipped(plain), oci.MediaTypeOctets},
		"one byte at a time": {gzipped(plain), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, n, err := DiffID(t.Context(), iotest.OneByteReader(bytes.NewReader(c.data)), c.typ)
			if err != nil || got != want || n != int64(len(plain)) {
				t.Errorf("%s, %d, %v", got, n, err)
			}
		})
	}
}

func TestDiffIDOfAnOpaqueLayer(t *testing.T) {
	for _, s := range []string{"", "x", "not a tar\n"} {
		got, n, err := DiffID(t.Context(), strings.NewReader(s), oci.MediaTypeLayer)
		if err != nil || got != oci.DigestBytes([]byte(s)) || n != int64(len(s)) {
			t.Errorf("%q: %s, %d, %v", s, got, n, err)
		}
	}
}

func TestAMediaTypeThatContradictsTheBytesIsRefused(t *testing.T) {
	plain := tarred("hello")
	for typ, data := range map[string][]byte{
		oci.MediaTypeLayer:       gzipped(plain),
		oci.MediaTypeLayerGzip:   plain,
		oci.MediaTypeLayerZstd:   gzipped(plain),
		oci.MediaTypeDockerLayer: zstded(plain),
	} {
		_, _, err := DiffID(t.Context(), bytes.NewReader(data), typ)
		if !errors.Is(err, content.ErrInvalid) || !strings.Contains(content.Hint(err), Detect(data).MediaType()) {
			t.Errorf("%s: %v (hint %q)", typ, err, content.Hint(err))
		}
	}
}

func TestDiffIDOfAnEncryptedLayerIsRefused(t *testing.T) {
	_, _, err := DiffID(t.Context(), strings.NewReader("cipher"), oci.MediaTypeLayerGzip+"+encrypted")
	if !errors.Is(err, content.ErrUnsupported) {
		t.Error(err)
	}
}

func TestInspectRefusesWhatIsNoTar(t *testing.T) {
	whole := tarred(strings.Repeat("x", 5000))
	for name, c := range map[string]struct {
		data  []byte
		class error
	}{
		"nothing":          {nil, content.ErrInvalid},
		"text":             {[]byte("hello\n"), content.ErrInvalid},
		"long text":        {bytes.Repeat([]byte("hello\n"), 500), content.ErrInvalid},
		"text in gzip":     {gzipped([]byte("hello")), content.ErrInvalid},
		"nothing in zstd":  {zstded(nil, zstd.WithZeroFrames(true)), content.ErrInvalid},
		"cut in a member":  {whole[:2000], content.ErrInvalid},
		"gzip cut":         {gzipped(whole)[:40], content.ErrCorrupt},
		"gzip header cut":  {gzipped(whole)[:5], content.ErrCorrupt},
		"zstd cut":         {zstded(whole)[:30], content.ErrCorrupt},
		"gzip with a tail": {append(gzipped(whole), "tail"...), content.ErrCorrupt},
		"gzip flipped":     {flipped(gzipped(whole)), content.ErrCorrupt},
		"zstd flipped":     {flipped(zstded(whole)), content.ErrCorrupt},
		"xz":               {[]byte("\xfd7zXZ\x00rest of it"), content.ErrUnsupported},
		"bzip2":            {[]byte("BZh91AY&SY"), content.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			if res, err := Inspect(t.Context(), bytes.NewReader(c.data)); !errors.Is(err, c.class) || res != (Result{}) {
				t.Errorf("%+v, %v; want %v", res, err, c.class)
			}
		})
	}
}

// flipped has one bit of its checksum turned.
func flipped(p []byte) []byte {
	p = bytes.Clone(p)
	p[len(p)-6] ^= 1
	return p
}

func TestInspectReadsToTheEnd(t *testing.T) {
	padded := append(tarred("hello"), make([]byte, 8192)...)
	var seen bytes.Buffer
	res, err := Inspect(t.Context(), io.TeeReader(bytes.NewReader(padded), &seen))
	if err != nil || res.DiffID != oci.DigestBytes(padded) || res.PlainSize != int64(len(padded)) || res.Members != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	if !bytes.Equal(seen.Bytes(), padded) {
		t.Errorf("a tee saw %d of %d bytes", seen.Len(), len(padded))
	}
}

func TestTheErrorOfTheSourceComesBack(t *testing.T) {
	plain := tarred(strings.Repeat("x", 1<<20))
	for _, data := range [][]byte{plain, gzipped(plain), zstded(plain)} {
		r := io.MultiReader(bytes.NewReader(data[:len(data)/2]), iotest.ErrReader(content.ErrUnavailable))
		if _, err := Inspect(t.Context(), r); !errors.Is(err, content.ErrUnavailable) {
			t.Errorf("%s: %v", Detect(data), err)
		}
	}
}

func TestDecompressionIsBounded(t *testing.T) {
	data := make([]byte, 4<<20)
	for name, c := range map[string]struct {
		packed []byte
		limits limits
		ok     bool
	}{
		"size":                {gzipped(data), limits{1 << 20, MaxRatio, RatioFloor}, false},
		"size of a plain one": {data, limits{1 << 20, MaxRatio, RatioFloor}, false},
		"ratio":               {zstded(data), limits{1 << 30, 100, 1 << 20}, false},
		"below the floor":     {zstded(data), limits{1 << 30, 100, 8 << 20}, true},
		"within":              {gzipped(data), limits{4 << 20, MaxRatio, 0}, true},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := decompress(bytes.NewReader(c.packed), Detect(c.packed), c.limits)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			n, err := io.Copy(io.Discard, d)
			if c.ok != (err == nil) || (err != nil && !errors.Is(err, content.ErrUnsupported)) {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	}
}

func TestZstdWindowIsBounded(t *testing.T) {
	// A frame header that asks for a window of 2 GiB, and a block that never comes.
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00}
	_, err := Inspect(t.Context(), bytes.NewReader(frame))
	if !errors.Is(err, content.ErrUnsupported) {
		t.Error(err)
	}
}

func TestCancelledReadEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Inspect(ctx, bytes.NewReader(tarred("x"))); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestDecompressClosesTwice(t *testing.T) {
	for _, c := range []Compression{None, Gzip, Zstd} {
		var b bytes.Buffer
		w, err := NewCompressor(&b, c)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, "content")
		_ = w.Close()
		d, err := Decompress(&b, c)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := d.Close(); err != nil {
				t.Errorf("%s: %v", c, err)
			}
		}
		if n, err := d.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%s: read after close: %d, %v", c, n, err)
		}
	}
}

func FuzzInspect(f *testing.F) {
	plain := tarred("seed")
	for _, s := range [][]byte{nil, plain, gzipped(plain), zstded(plain), plain[:600], []byte("text"), {0x1f, 0x8b, 8}, {0x28, 0xb5, 0x2f, 0xfd}} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		res, err := Inspect(t.Context(), bytes.NewReader(p))
		if err != nil {
			return
		}
		if res.Digest != oci.DigestBytes(p) || res.Size != int64(len(p)) || res.MediaType != Detect(p).MediaType() {
			t.Errorf("%+v does not describe %d bytes", res, len(p))
		}
		diff, n, err := DiffID(t.Context(), bytes.NewReader(p), res.MediaType)
		if err != nil || diff != res.DiffID || n != res.PlainSize {
			t.Errorf("DiffID disagrees: %s, %d, %v; %+v", diff, n, err, res)
		}
	})
}
