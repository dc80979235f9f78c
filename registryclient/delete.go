package registryclient

import (
	"context"
	"fmt"
	"net/http"

	"dist.example/content"
	"dist.example/oci"
)

// DeleteTag takes a tag away and leaves what it stood for: DELETE of the manifest
// by its tag, one request. Not every registry can do that: ErrUnsupported (405,
// 400 or its own word for it) says that this one cannot, and nothing has happened.
// Other errors: ErrNotFound when there is no such tag, ErrDenied, ErrUnavailable.
func (r *Repository) DeleteTag(ctx context.Context, tag string) error {
	err := r.deleteManifest(ctx, "tag "+tag, tag)
	if refused := remoteStatus(err); refused == http.StatusBadRequest {
		// Registries that know deletion by digest alone call a tag a bad digest.
		return fmt.Errorf("delete tag %s of %s: %w: %w", tag, r.ref.Name(), content.ErrUnsupported, err)
	}
	return err
}

// DeleteManifest takes a manifest away, and with it every tag of the repository
// that stands for it. Errors: as DeleteTag.
func (r *Repository) DeleteManifest(ctx context.Context, d oci.Digest) error {
	return r.deleteManifest(ctx, "manifest "+d.String(), d.String())
}

func (r *Repository) deleteManifest(ctx context.Context, what, name string) error {
	e, err := r.pushHost()
	if err != nil {
		return err
	}
	resp, err := r.do(ctx, e, call{
		what: "delete " + what, method: http.MethodDelete,
		url:    r.at(e, "/manifests/"+name, nil),
		scopes: []string{"repository:" + r.ref.Repository + ":delete"},
		ok:     []int{http.StatusAccepted, http.StatusOK, http.StatusNoContent},
	})
	if err != nil {
		return err
	}
	drain(resp)
	return nil
}
