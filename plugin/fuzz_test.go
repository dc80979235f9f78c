package plugin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

const someDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// FuzzLine reads answers: whatever is read is written the same way again, and nothing
// that is not valid gets through.
func FuzzLine(f *testing.F) {
	f.Add([]byte("ok " + someDigest + " 12 text/plain -\n"))
	f.Add([]byte("error denied a%20b%0Ac %2D\nrest"))
	f.Add([]byte("ok  %zz"))
	f.Fuzz(func(t *testing.T, data []byte) {
		words, err := readLine(newLines(bytes.NewReader(data)))
		if err != nil {
			if !errors.Is(err, errProtocol) && !errors.Is(err, io.EOF) {
				t.Fatalf("an error of no class: %v", err)
			}
			return
		}
		line, err := encodeLine(words...)
		if err != nil {
			return // longer than it came
		}
		again, err := decodeLine(strings.TrimSuffix(line, "\n"))
		if err != nil || !slices.Equal(again, words) {
			t.Fatalf("%q is written as %q and read as %q, %v", words, line, again, err)
		}
		if d, rest, err := descriptor(words, true); err == nil {
			if verr := oci.ValidateDescriptor(d); verr != nil {
				t.Fatalf("%+v: %v", d, verr)
			}
			if len(rest) > 0 {
				_, _ = reference(rest[0])
			}
		}
		if err := decodeError(words); err == nil || strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Fatalf("the error is %q", err)
		}
	})
}

// FuzzServe sends requests to a program.
func FuzzServe(f *testing.F) {
	f.Add([]byte("hello 1 read x\nresolve\nfetch " + someDigest + " 0 0\n"))
	f.Add([]byte("hello 1 write x\nexists " + someDigest + " 0 a/b\npush " + someDigest + " 3 a/b\nxyzfinish " + someDigest + " 0 a/b -\n"))
	f.Add([]byte("hello 2 read -\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		_ = Plugin{Transport: stub{}}.Serve(t.Context(), bytes.NewReader(data), &out)
		if out.Len() > 0 && !bytes.HasPrefix(out.Bytes(), []byte("ok ")) && !bytes.HasPrefix(out.Bytes(), []byte("error ")) {
			t.Fatalf("the answer is %q", out.Bytes())
		}
	})
}

// stub is a transport that has nothing and takes everything.
type stub struct{}

func (stub) Source(context.Context, string) (content.ImageSource, error) { return stub{}, nil }
func (stub) Target(context.Context, string) (content.ImageTarget, error) { return stub{}, nil }
func (stub) Close() error                                                { return nil }

func (stub) Image(context.Context) (oci.Reference, oci.Descriptor, error) {
	return oci.Reference{}, oci.Descriptor{Digest: someDigest, MediaType: oci.MediaTypeManifest}, nil
}

func (stub) Fetch(context.Context, oci.Descriptor) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("")), nil
}

func (stub) Exists(context.Context, oci.Descriptor) (bool, error) { return false, nil }

func (stub) Push(_ context.Context, desc oci.Descriptor, r io.Reader) error {
	_, err := io.Copy(io.Discard, content.Verify(r, desc))
	return err
}

func (stub) Finish(context.Context, oci.Descriptor, oci.Reference) error { return nil }
