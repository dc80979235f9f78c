package registryclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// SwapTag lets tag name desc, a manifest that the repository holds, if the tag
// names expect at that moment; the empty digest demands that there is no such tag.
// data is the manifest, nil lets it be fetched.
// It looks with one HEAD request and then puts the manifest under the tag, on the
// condition (If-Match, If-None-Match) that the tag is what was seen. A registry
// that does not know conditions ignores it: there, somebody who moves the tag
// between the two requests is overwritten.
//
// Errors: ErrConflict, with what was found, when the tag names something else;
// ErrUnsupported when the registry does not tell what the tag names; else as Tag.
func (r *Repository) SwapTag(ctx context.Context, desc oci.Descriptor, data []byte, tag string, expect oci.Digest) error {
	e, err := r.pushHost()
	if err != nil {
		return err
	}
	found, etag, err := r.headTag(ctx, e, tag)
	if err != nil {
		return err
	}
	if found != expect {
		return r.Moved(tag, found, expect)
	}
	header := http.Header{}
	switch {
	case expect == "":
		header.Set("If-None-Match", "*")
	case etag != "":
		header.Set("If-Match", etag)
	}
	if data == nil {
		if _, data, err = r.getManifest(ctx, e, r.ref.WithDigest(desc.Digest), []string{desc.MediaType}); err != nil {
			return err
		}
	}
	_, err = r.putManifest(ctx, desc, data, tag, header)
	if remoteStatus(err) == http.StatusPreconditionFailed {
		return r.overtaken(ctx, e, tag, desc.Digest, expect)
	}
	return err
}

// overtaken judges a condition that did not hold: a PUT that was sent twice, since
// the answer to the first was lost, meets what it did itself.
func (r *Repository) overtaken(ctx context.Context, e *endpoint, tag string, put, expect oci.Digest) error {
	found, _, err := r.headTag(ctx, e, tag)
	if err != nil || found == put {
		return err
	}
	return r.Moved(tag, found, expect)
}

// Moved is the ErrConflict of a tag that stands for found and was to stand for
// expect; the empty digest is no such tag.
func (r *Repository) Moved(tag string, found, expect oci.Digest) error {
	return content.WithHint(fmt.Errorf("tag %s of %s: %w: it stands for %s, not for %s",
		tag, r.ref.Name(), content.ErrConflict, orNothing(found), orNothing(expect)),
		"look what it is now, and give that digest if it may go")
}

func orNothing(d oci.Digest) string {
	if d == "" {
		return "nothing"
	}
	return d.String()
}

// headTag asks what a tag names, "" when there is no such tag, and for the ETag of
// that, "" when the registry gives none or a weak one.
func (r *Repository) headTag(ctx context.Context, e *endpoint, tag string) (oci.Digest, string, error) {
	resp, err := r.do(ctx, e, call{
		what: "manifest " + tag, method: http.MethodHead,
		url:    r.at(e, "/manifests/"+tag, nil),
		header: http.Header{"Accept": {strings.Join(manifestTypes, ", ")}},
		scopes: r.scope("pull,push"),
		ok:     []int{http.StatusOK},
	})
	if errors.Is(err, content.ErrNotFound) {
		return "", "", nil
	}
	if err != nil {
		return "", "", err
	}
	resp.Body.Close()
	d, err := oci.ParseDigest(resp.Header.Get(digestHeader))
	if err != nil {
		return "", "", fmt.Errorf("tag %s of %s: %w: the registry does not tell its digest", tag, r.ref.Name(), content.ErrUnsupported)
	}
	etag := resp.Header.Get("ETag")
	if !strings.HasPrefix(etag, `"`) {
		etag = ""
	}
	return d, etag, nil
}

// remoteStatus is the HTTP status that err carries, 0 when it carries none.
func remoteStatus(err error) int {
	var remote *content.RemoteError
	if errors.As(err, &remote) {
		return remote.Status
	}
	return 0
}
