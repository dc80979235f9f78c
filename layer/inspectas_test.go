package layer

import (
	"bytes"
	"errors"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

func TestInspectAs(t *testing.T) {
	plain := tarred("x")
	for _, tc := range []struct {
		name      string
		data      []byte
		mediaType string
		class     error
	}{
		{"plain", plain, oci.MediaTypeLayer, nil},
		{"gzip", gzipped(plain), oci.MediaTypeDockerLayer, nil},
		{"zstd", zstded(plain), oci.MediaTypeLayerZstd, nil},
		{"statement", []byte("{}"), "application/vnd.in-toto+json", nil},
		{"gzip as plain", gzipped(plain), oci.MediaTypeLayer, content.ErrInvalid},
		{"plain as gzip", plain, oci.MediaTypeLayerGzip, content.ErrInvalid},
		{"text as tar", bytes.Repeat([]byte("text\n"), 300), oci.MediaTypeLayer, content.ErrInvalid},
		{"encrypted", plain, oci.MediaTypeLayer + "+encrypted", content.ErrUnsupported},
	} {
		res, err := InspectAs(t.Context(), bytes.NewReader(tc.data), tc.mediaType)
		if !errors.Is(err, tc.class) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.class)
		}
		if err == nil && (res.MediaType != tc.mediaType || res.Digest != oci.DigestBytes(tc.data)) {
			t.Errorf("%s: %+v", tc.name, res)
		}
	}
}
