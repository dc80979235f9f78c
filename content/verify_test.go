package content_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"dist.example/content"
	"dist.example/oci"
)

func descOf(p []byte) oci.Descriptor {
	return oci.Descriptor{MediaType: oci.MediaTypeOctets, Digest: oci.DigestBytes(p), Size: int64(len(p))}
}

func TestVerifyReportsTheEndOnlyOfWhatMatches(t *testing.T) {
	data := []byte(strings.Repeat("content ", 1000))
	other := bytes.Replace(data, []byte("c"), []byte("C"), 1)
	unknown := descOf(data)
	unknown.Size = -1
	for _, tc := range []struct {
		name string
		data []byte
		desc oci.Descriptor
		want error
	}{
		{"the content", data, descOf(data), nil},
		{"of unknown size", data, unknown, nil},
		{"empty", nil, descOf(nil), nil},
		{"other bytes", other, descOf(data), content.ErrCorrupt},
		{"too short", data[:len(data)-1], descOf(data), content.ErrCorrupt},
		{"too long", append(data[:len(data):len(data)], 'x'), descOf(data), content.ErrCorrupt},
		{"other bytes of unknown size", other, unknown, content.ErrCorrupt},
	} {
		for how, wrap := range map[string]func(io.Reader) io.Reader{
			"": func(r io.Reader) io.Reader { return r }, " by bytes": iotest.OneByteReader, " end with data": iotest.DataErrReader,
		} {
			got, err := io.ReadAll(content.Verify(wrap(bytes.NewReader(tc.data)), tc.desc))
			if !errors.Is(err, tc.want) || tc.want == nil && err != nil {
				t.Errorf("%s%s: error %v, want %v", tc.name, how, err, tc.want)
			}
			if tc.want == nil && !bytes.Equal(got, tc.data) {
				t.Errorf("%s%s: other bytes came out", tc.name, how)
			}
			if int64(len(got)) > tc.desc.Size && tc.desc.Size >= 0 {
				t.Errorf("%s%s: %d bytes came out of %d", tc.name, how, len(got), tc.desc.Size)
			}
		}
	}
}

func TestVerifyPassesOtherErrorsOn(t *testing.T) {
	broken := errors.New("broken")
	_, err := io.ReadAll(content.Verify(io.MultiReader(strings.NewReader("x"), iotest.ErrReader(broken)), descOf([]byte("xy"))))
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want the reader's own", err)
	}
}
