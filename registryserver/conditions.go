package registryserver

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// expectation reads the condition of a PUT by tag (RFC 9110, 13.1): what the tag
// has to name for it, "" for nothing; nil when the request has no condition.
// A manifest's ETag is its digest in quotes. A condition that does not hold now is
// 412 at once; one that does is looked at again in the transaction that moves the
// tag.
func (s *server) expectation(ctx context.Context, r *http.Request, ref oci.Reference) (*oci.Digest, error) {
	match, none := r.Header.Values("If-Match"), r.Header.Values("If-None-Match")
	if len(match) == 0 && len(none) == 0 {
		return nil, nil
	}
	desc, err := s.lib.Resolve(ctx, ref)
	if err != nil && !errors.Is(err, content.ErrNotFound) {
		return nil, err
	}
	found := desc.Digest // "" when there is none
	if len(match) > 0 && !listed(match, found) || len(none) > 0 && listed(none, found) {
		return nil, preconditionFailed(ref)
	}
	return &found, nil
}

// listed says whether d is among the entity tags of a header; "*" is any d.
func listed(values []string, d oci.Digest) bool {
	if d == "" {
		return false
	}
	for tag := range strings.SplitSeq(strings.Join(values, ","), ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || tag == `"`+d.String()+`"` {
			return true
		}
	}
	return false
}

func preconditionFailed(ref oci.Reference) error {
	return refuse(http.StatusPreconditionFailed, codeDenied, "the tag %s does not stand for what the request says", ref.Tag)
}
