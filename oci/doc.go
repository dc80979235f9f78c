// Package oci holds the nouns of the OCI specifications as plain data: digests,
// descriptors, manifests, indexes, media types, platforms and references, and
// the one function that says what a manifest refers to.
//
// Nothing here does I/O. Everything that enters the program as text becomes one
// of these types at the edge (ParseDigest, ParseReference, ParseMediaType,
// ParsePlatform, ParseManifest), so that inside a Digest is of a known algorithm
// and well formed and a Reference is normalised. All parse errors wrap
// ErrInvalid and quote what was given. On the way out Encode writes documents as the
// bytes that are stored, and a Document is one made elsewhere that is changed in
// places and keeps all else.
//
// Sources: image-spec 1.1.1, distribution-spec 1.1.1, and for references the
// grammar of Docker as github.com/distribution/reference has it.
package oci

import "errors"

// ErrInvalid is the class of everything that does not parse: a digest, a
// reference, a media type, a platform, a manifest.
var ErrInvalid = errors.New("invalid")

// Size caps. What is larger is refused before it is buffered.
const (
	// MaxManifestSize bounds every manifest and index: distribution-spec asks
	// registries to take 4 MiB, and nothing sensible is larger.
	MaxManifestSize = 4 << 20
	// MaxConfigSize bounds an image configuration that is parsed.
	MaxConfigSize = 8 << 20
)
