package registryclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// manifestTypes are asked for when a caller does not say what it wants.
var manifestTypes = []string{oci.MediaTypeIndex, oci.MediaTypeManifest, oci.MediaTypeDockerList, oci.MediaTypeDockerManifest}

const (
	digestHeader  = "Docker-Content-Digest"
	schema1Prefix = "application/vnd.docker.distribution.manifest.v1+"
)

// Resolve asks for the descriptor of the manifest that ref's digest, else its
// tag, names: one HEAD request, and a GET where the registry's answer to that
// does not tell media type, size and digest. Only tag and digest of ref matter.
// Errors: ErrNotFound, ErrDenied, ErrUnavailable, ErrCorrupt when the registry
// names another digest than ref, ErrUnsupported for Docker's schema 1 and
// everything else that is neither a manifest nor an index.
func (r *Repository) Resolve(ctx context.Context, ref oci.Reference) (oci.Descriptor, error) {
	if ref.Identifier() == "" {
		return oci.Descriptor{}, fmt.Errorf("resolve %s: %w: neither tag nor digest", r.ref.Name(), content.ErrInvalid)
	}
	return eachHost(ctx, r, resolving(ref), func(e *endpoint) (oci.Descriptor, error) {
		desc, err := r.resolveAt(ctx, e, ref)
		if err == nil {
			r.gives(e)
		}
		return desc, err
	})
}

// resolveAt is Resolve at one host.
func (r *Repository) resolveAt(ctx context.Context, e *endpoint, ref oci.Reference) (oci.Descriptor, error) {
	desc, err := r.head(ctx, e, ref)
	if errors.Is(err, errTellsLittle) {
		desc, _, err = r.getManifest(ctx, e, ref, manifestTypes)
	}
	return desc, err
}

// resolving is the capability that it takes to answer for ref.
func resolving(ref oci.Reference) capability {
	if ref.Digest != "" {
		return canPull
	}
	return canPull | canResolve
}

// errTellsLittle says that the answer to a HEAD request was of no use.
var errTellsLittle = errors.New("HEAD does not tell")

func (r *Repository) head(ctx context.Context, e *endpoint, ref oci.Reference) (oci.Descriptor, error) {
	resp, err := r.do(ctx, e, call{
		what: "manifest " + ref.Identifier(), method: http.MethodHead,
		url:    r.at(e, "/manifests/"+ref.Identifier(), nil),
		header: http.Header{"Accept": {strings.Join(manifestTypes, ", ")}},
		scopes: r.scope("pull"),
		ok:     []int{http.StatusOK, http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusBadRequest, http.StatusNotAcceptable},
	})
	if err != nil {
		return oci.Descriptor{}, err
	}
	resp.Body.Close()
	desc := oci.Descriptor{MediaType: mediaType(resp.Header), Size: resp.ContentLength}
	desc.Digest, err = oci.ParseDigest(resp.Header.Get(digestHeader))
	if resp.StatusCode != http.StatusOK || err != nil || desc.Size <= 0 || !isManifestType(desc.MediaType) {
		return desc, errTellsLittle
	}
	if ref.Digest != "" && ref.Digest.Algorithm() != desc.Digest.Algorithm() {
		return desc, errTellsLittle
	}
	return desc, r.acceptable(e, ref, desc)
}

// isManifestType says whether mediaType is taken for a manifest's.
func isManifestType(mediaType string) bool {
	return slices.Contains(manifestTypes, mediaType) || strings.HasPrefix(mediaType, schema1Prefix)
}

// acceptable refuses what ref cannot stand for.
func (r *Repository) acceptable(e *endpoint, ref oci.Reference, desc oci.Descriptor) error {
	switch {
	case ref.Digest != "" && ref.Digest != desc.Digest:
		return r.wrong(e, ref, content.ErrCorrupt, "%s answered with %s", e.host(), desc.Digest)
	case strings.HasPrefix(desc.MediaType, schema1Prefix):
		return content.WithHint(r.wrong(e, ref, content.ErrUnsupported, "a manifest of Docker's schema 1"),
			"push the image again with a current tool, which converts it")
	case desc.Size > oci.MaxManifestSize:
		return r.wrong(e, ref, content.ErrUnsupported, "a manifest of %d bytes, the limit is %d", desc.Size, oci.MaxManifestSize)
	}
	return nil
}

// wrong is the error of an answer that came but is not good.
func (r *Repository) wrong(e *endpoint, ref oci.Reference, class error, format string, args ...any) error {
	return &content.RemoteError{
		Registry: e.host(), Status: http.StatusOK,
		Err: fmt.Errorf("manifest %s in %s: %w: %s", ref.Identifier(), r.ref.Name(), class, fmt.Sprintf(format, args...)),
	}
}

// FetchManifest gets the manifest that ref's digest, else its tag, names, and
// verifies it against that digest and the one that the registry declares. accept
// are the media types to ask for; none means all that Resolve takes. With accept
// given, content of any of these types is taken, and with "*/*" of any type.
// A truncated or corrupt answer is asked for once more. Errors: as Resolve.
func (r *Repository) FetchManifest(ctx context.Context, ref oci.Reference, accept ...string) (oci.Descriptor, []byte, error) {
	if ref.Identifier() == "" {
		return oci.Descriptor{}, nil, fmt.Errorf("fetch manifest of %s: %w: neither tag nor digest", r.ref.Name(), content.ErrInvalid)
	}
	if len(accept) == 0 {
		accept = manifestTypes
	}
	got, err := eachHost(ctx, r, resolving(ref), func(e *endpoint) (manifestBytes, error) {
		desc, data, err := r.getManifest(ctx, e, ref, accept)
		if err == nil {
			r.gives(e)
		}
		return manifestBytes{desc, data}, err
	})
	return got.desc, got.data, err
}

// getManifest gets a manifest from one host; one that is corrupt, twice.
func (r *Repository) getManifest(ctx context.Context, e *endpoint, ref oci.Reference, accept []string) (oci.Descriptor, []byte, error) {
	desc, data, err := r.getManifestOnce(ctx, e, ref, accept)
	if errors.Is(err, content.ErrCorrupt) {
		desc, data, err = r.getManifestOnce(ctx, e, ref, accept)
	}
	return desc, data, err
}

func (r *Repository) getManifestOnce(ctx context.Context, e *endpoint, ref oci.Reference, accept []string) (oci.Descriptor, []byte, error) {
	header, data, err := r.manifestBody(ctx, e, ref, accept)
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	alg := oci.SHA256
	declared, declErr := oci.ParseDigest(header.Get(digestHeader))
	if ref.Digest != "" {
		alg = ref.Digest.Algorithm()
	} else if declErr == nil {
		alg = declared.Algorithm()
	}
	desc := oci.Descriptor{MediaType: mediaType(header), Digest: alg.FromBytes(data), Size: int64(len(data))}
	if declErr == nil && declared != declared.Algorithm().FromBytes(data) {
		return desc, nil, r.wrong(e, ref, content.ErrCorrupt, "%s declares %s, the bytes hash to %s", e.host(), declared, desc.Digest)
	}
	if err := r.settleType(e, ref, &desc, data, accept); err != nil {
		return desc, nil, err
	}
	return desc, data, r.acceptable(e, ref, desc)
}

// manifestBody reads the bytes, trying again when the connection breaks.
func (r *Repository) manifestBody(ctx context.Context, e *endpoint, ref oci.Reference, accept []string) (http.Header, []byte, error) {
	q := call{
		what: "manifest " + ref.Identifier(), method: http.MethodGet,
		url:    r.at(e, "/manifests/"+ref.Identifier(), nil),
		header: http.Header{"Accept": {strings.Join(accept, ", ")}},
		scopes: r.scope("pull"),
		ok:     []int{http.StatusOK},
	}
	header, data, err := r.read(ctx, e, q, oci.MaxManifestSize)
	if err == nil && data == nil {
		err = r.wrong(e, ref, content.ErrUnsupported, "a manifest of more than %d bytes", oci.MaxManifestSize)
	}
	return header, data, err
}

// settleType decides what a manifest is. The document's own mediaType and the
// Content-Type must not contradict each other: one reader would see a manifest
// and the next an index.
func (r *Repository) settleType(e *endpoint, ref oci.Reference, desc *oci.Descriptor, data []byte, accept []string) error {
	var doc struct {
		MediaType     string `json:"mediaType"`
		SchemaVersion int    `json:"schemaVersion"`
	}
	if json.Unmarshal(data, &doc) == nil {
		if doc.SchemaVersion == 1 && doc.MediaType == "" {
			desc.MediaType = schema1Prefix + "json"
			return nil
		}
		if vague(desc.MediaType) && doc.MediaType != "" {
			desc.MediaType = doc.MediaType
		}
		if isManifestType(desc.MediaType) && doc.MediaType != "" && doc.MediaType != desc.MediaType {
			return r.wrong(e, ref, content.ErrCorrupt, "served as %s, but says of itself %s", desc.MediaType, printable(doc.MediaType, 100))
		}
	} else if isManifestType(desc.MediaType) {
		return r.wrong(e, ref, content.ErrCorrupt, "not JSON")
	}
	if isManifestType(desc.MediaType) || slices.Contains(accept, desc.MediaType) || slices.Contains(accept, "*/*") {
		return nil
	}
	return r.wrong(e, ref, content.ErrUnsupported, "%s is neither a manifest nor an index", printable(desc.MediaType, 100))
}

// vague says that a Content-Type tells nothing about a manifest.
func vague(mediaType string) bool {
	switch mediaType {
	case "", oci.MediaTypeJSON, oci.MediaTypeOctets, "text/plain":
		return true
	}
	return false
}

func mediaType(h http.Header) string {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

// fetchManifestByDigest is Fetch for manifests: they are small, and verified
// before the first byte goes out.
func (r *Repository) fetchManifestByDigest(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	if desc.Size > oci.MaxManifestSize {
		return nil, fmt.Errorf("fetch %s from %s: %w: a manifest of %d bytes, the limit is %d", desc.Digest, r.ref.Name(), content.ErrUnsupported, desc.Size, oci.MaxManifestSize)
	}
	got, data, err := r.FetchManifest(ctx, r.ref.WithDigest(desc.Digest), desc.MediaType)
	if err != nil {
		return nil, err
	}
	if desc.Size >= 0 && desc.Size != got.Size {
		return nil, fmt.Errorf("fetch %s from %s: %w: %d bytes in place of %d", desc.Digest, r.ref.Name(), content.ErrCorrupt, got.Size, desc.Size)
	}
	if got.MediaType != desc.MediaType {
		return nil, fmt.Errorf("fetch %s from %s: %w: %s in place of %s", desc.Digest, r.ref.Name(), content.ErrCorrupt, got.MediaType, desc.MediaType)
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}
