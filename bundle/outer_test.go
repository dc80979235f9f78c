package bundle

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"testing"

	"dist.example/content"
	"dist.example/layer"
	"github.com/ulikunitz/xz"
)

// squeezed are data in all compressions that there is a writer of.
func squeezed(t testing.TB, data []byte) map[string][]byte {
	t.Helper()
	out := map[string][]byte{"none": data, "zstd": zstdFrame(data)}
	for name, open := range map[string]func(io.Writer) (io.WriteCloser, error){
		"gzip": func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
		"xz":   func(w io.Writer) (io.WriteCloser, error) { return xz.WriterConfig{BlockSize: 100_000}.NewWriter(w) },
	} {
		var b bytes.Buffer
		w, err := open(&b)
		if err == nil {
			_, err = w.Write(data)
		}
		if err = errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		out[name] = b.Bytes()
	}
	return out
}

// zstdFrame has data in blocks that are not compressed, with a window of 128 KiB.
func zstdFrame(data []byte) []byte {
	out := []byte("\x28\xb5\x2f\xfd\x00\x38")
	for chunk := range slices.Chunk(data, 100<<10) {
		out = append(zstdBlock(out, 0, len(chunk)), chunk...)
	}
	return append(out, 1, 0, 0)
}

// zstdBlock adds the header of a block that is not the last.
func zstdBlock(out []byte, kind, size int) []byte {
	n := size<<3 | kind<<1
	return append(out, byte(n), byte(n>>8), byte(n>>16))
}

func unwrapAll(data []byte) ([]byte, error) {
	r, err := unwrap(bufio.NewReader(bytes.NewReader(data)))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func TestWhatWasWrappedComesOut(t *testing.T) {
	t.Parallel()
	data := append(noise(300_000), make([]byte, 300_000)...)
	for name, p := range squeezed(t, data) {
		got, err := unwrapAll(p)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if name == "none" {
			continue
		}
		twice, err := unwrapAll(append(bytes.Clone(p), p...)) // volumes, one after the other
		if err != nil || !bytes.Equal(twice, append(bytes.Clone(data), data...)) {
			t.Errorf("%s twice: %d bytes, %v", name, len(twice), err)
		}
	}
}

func TestWhatXzWritesIsRead(t *testing.T) {
	t.Parallel()
	data := append(noise(300_000), make([]byte, 300_000)...)
	for _, args := range [][]string{{"-0"}, {"-9"}, {"-T2", "--block-size=100000"}, {"-C", "none"}, {"-C", "crc32"}, {"-C", "sha256"}} {
		cmd := exec.Command("xz", append(args, "-c")...)
		cmd.Stdin = bytes.NewReader(data)
		p, err := cmd.Output()
		if errors.Is(err, exec.ErrNotFound) {
			t.Skip("there is no xz here")
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := unwrapAll(append(p, make([]byte, 8)...)) // padding
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%v: %d bytes, %v", args, len(got), err)
		}
	}
}

func TestBzip2IsRead(t *testing.T) {
	t.Parallel()
	p, err := base64.StdEncoding.DecodeString("QlpoOTFBWSZTWatrofEAAALZgAAQQAAQABJkwBAgADEA000EAB6j705RogeLuSKcKEhVtdD4gA==")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := unwrapAll(p); string(got) != "hello bzip2\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWhatIsCutOffOrBentIsRefused(t *testing.T) {
	t.Parallel()
	data := noise(2000)
	for name, p := range squeezed(t, data) {
		if name == "none" {
			continue
		}
		for n := 7; n < len(p); n += 13 {
			if _, err := unwrapAll(p[:n]); !errors.Is(err, content.ErrCorrupt) {
				t.Errorf("%s of %d bytes cut off behind %d: %v", name, len(p), n, err)
			}
		}
		if name == "zstd" {
			continue // these frames have no checksum
		}
		for n := 6; n < len(p); n += 7 {
			bent := bytes.Clone(p)
			bent[n] ^= 0x10
			got, err := unwrapAll(bent)
			if err == nil && !bytes.Equal(got, data) {
				t.Errorf("%s bent at %d of %d: other bytes without an error", name, n, len(p))
			}
		}
	}
}

// A small file must not take gigabytes of anybody's memory, disk or time.
func TestBombsAreRefused(t *testing.T) {
	t.Parallel()
	for name, part := range map[string][]byte{
		"zstd": append(zstdBlock(nil, 1, 128<<10), 0), // one byte, so many times
		"xz":   squeezed(t, make([]byte, 16<<20))["xz"],
	} {
		bomb := bytes.Repeat(part, layer.RatioFloor/(16<<20)+8)
		if name == "zstd" {
			bomb = append([]byte("\x28\xb5\x2f\xfd\x00\x38"), bytes.Repeat(part, layer.RatioFloor/(128<<10)+1000)...)
		}
		r, err := unwrap(bufio.NewReader(bytes.NewReader(bomb)))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); !errors.Is(err, content.ErrUnsupported) {
			t.Errorf("%s: %d bytes and %v", name, n, err)
		}
		r.Close()
	}
}

func TestADictionaryThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	for code := byte(0); code <= 41; code++ {
		_, dict, err := parseXzHeader([]byte{2, 0, xzFilter, 1, code, 0, 0, 0})
		switch {
		case code == 41:
			if err == nil {
				t.Errorf("code %d is taken", code)
			}
		case xzDict(code) > maxXzDict:
			if !errors.Is(err, content.ErrUnsupported) {
				t.Errorf("a dictionary of %d bytes: %v", xzDict(code), err)
			}
		case err != nil || dict < 4096:
			t.Errorf("a dictionary of %d bytes: %v", dict, err)
		}
	}
}

// noise is n bytes that are always the same and cannot be compressed.
func noise(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(p) // never fails
	return p
}

func FuzzUnwrap(f *testing.F) {
	for _, p := range squeezed(f, []byte(fmt.Sprintf("%0300d", 7))) {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		r, err := unwrap(bufio.NewReader(bytes.NewReader(p)))
		if err != nil {
			if !isAny(err, content.ErrCorrupt, content.ErrUnsupported) {
				t.Fatal(err)
			}
			return
		}
		defer r.Close()
		if _, err := io.Copy(io.Discard, io.LimitReader(r, 1<<20)); err != nil && !isAny(err, content.ErrCorrupt, content.ErrUnsupported) {
			t.Fatal(err)
		}
	})
}
