package registryserver

import (
	"context"
	"net/http"
	"strings"

	"dist.example/oci"
)

// expectation reads the condition of a PUT (RFC 9110, 13.1): what the tag of its path
// has to name for it, "" for nothing; nil when the request has no condition, or is by
// digest, for which nothing else can come to stand. A condition that does not hold now
// is 412 at once; one that does is looked at again in the transaction that moves the
// tag.
func (s *server) expectation(ctx context.Context, r *http.Request, at route) (*oci.Digest, error) {
	if !conditional(r) {
		return nil, nil
	}
	desc, err := s.findManifest(ctx, at)
	if err != nil && explain(err).status != http.StatusNotFound {
		return nil, err
	}
	found := desc.Digest // "" when there is none
	if err := holds(r, found); err != nil || at.tag == "" {
		return nil, err
	}
	return &found, nil
}

func conditional(r *http.Request) bool {
	return len(r.Header.Values("If-Match")) > 0 || len(r.Header.Values("If-None-Match")) > 0
}

// holds refuses a request whose condition is not true of found, which is what is
// there, "" for nothing. The ETag of everything is its digest in quotes.
func holds(r *http.Request, found oci.Digest) error {
	match, none := r.Header.Values("If-Match"), r.Header.Values("If-None-Match")
	if len(match) > 0 && !listed(match, found, "") || len(none) > 0 && listed(none, found, "W/") {
		return preconditionFailed()
	}
	return nil
}

// listed says whether d is among the entity tags of a header, each with or without
// the prefix weak; "*" is any d.
func listed(values []string, d oci.Digest, weak string) bool {
	if d == "" {
		return false
	}
	for tag := range strings.SplitSeq(strings.Join(values, ","), ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, weak) == `"`+d.String()+`"` {
			return true
		}
	}
	return false
}

func preconditionFailed() error {
	return refuse(http.StatusPreconditionFailed, codeDenied, "what is here is not what the request says it has to be")
}
