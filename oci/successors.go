package oci

import (
	"encoding/json"
	"fmt"
)

// Role says what a child is to its parent.
type Role uint8

// The roles an edge can have. Values are stored in catalogs: never renumber.
const (
	RoleConfig   Role = 1
	RoleLayer    Role = 2
	RoleManifest Role = 3
	// RoleSubject runs from a referrer to what it is about. It keeps the
	// referrer alive with its subject, never the subject with its referrer.
	RoleSubject Role = 4
)

// String is the role's word in listings and views.
func (r Role) String() string {
	switch r {
	case RoleConfig:
		return "config"
	case RoleLayer:
		return "layer"
	case RoleManifest:
		return "manifest"
	case RoleSubject:
		return "subject"
	}
	return fmt.Sprintf("role(%d)", uint8(r))
}

// Edge is one descriptor of a manifest or index, with its role.
type Edge struct {
	Role Role
	Descriptor
}

// document is every field that decides what a manifest or index refers to.
type document struct {
	SchemaVersion int           `json:"schemaVersion"`
	MediaType     string        `json:"mediaType"`
	Config        *Descriptor   `json:"config"`
	Layers        *[]Descriptor `json:"layers"`
	Manifests     *[]Descriptor `json:"manifests"`
	Subject       *Descriptor   `json:"subject"`
	FSLayers      any           `json:"fsLayers"`
}

// Successors parses a manifest or index and lists what it refers to: config,
// layers, manifests, subject, in the order of the document. Content of any
// other type has no successors.
//
// It refuses (ErrInvalid) what image-spec forbids and what would let one
// document be read in two ways: a mediaType field that contradicts mediaType, a
// manifest with manifests, an index with config or layers, a key twice or in
// another case than the specification's, trailing data, descriptors with a
// malformed digest or a negative size. Docker's schema 1 is refused too.
func Successors(mediaType string, data []byte) ([]Edge, error) {
	if !HasSuccessors(mediaType) {
		return nil, nil
	}
	doc, err := parseDocument(mediaType, data)
	if err != nil {
		return nil, err
	}
	var edges []Edge
	add := func(role Role, ds ...Descriptor) {
		for _, d := range ds {
			edges = append(edges, Edge{role, d})
		}
	}
	if IsManifest(mediaType) {
		if doc.Config == nil {
			return nil, fmt.Errorf("%s: %w: no config", mediaType, ErrInvalid)
		}
		add(RoleConfig, *doc.Config)
		if doc.Layers != nil {
			add(RoleLayer, *doc.Layers...)
		}
	} else if doc.Manifests != nil {
		add(RoleManifest, *doc.Manifests...)
	}
	if doc.Subject != nil {
		add(RoleSubject, *doc.Subject)
	}
	for _, e := range edges {
		if err := ValidateDescriptor(e.Descriptor); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", mediaType, e.Role, err)
		}
	}
	return edges, nil
}

func parseDocument(mediaType string, data []byte) (*document, error) {
	if len(data) > MaxManifestSize {
		return nil, fmt.Errorf("%s of %d bytes: %w: more than %d", mediaType, len(data), ErrInvalid, MaxManifestSize)
	}
	var doc document
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w: %v", mediaType, ErrInvalid, err)
	}
	if err := checkKeys(data); err != nil {
		return nil, fmt.Errorf("%s: %w", mediaType, err)
	}
	switch {
	case doc.MediaType != "" && doc.MediaType != mediaType:
		return nil, fmt.Errorf("%s: %w: the document says it is %q", mediaType, ErrInvalid, doc.MediaType)
	case doc.SchemaVersion != 2:
		return nil, fmt.Errorf("%s: %w: schemaVersion %d, want 2", mediaType, ErrInvalid, doc.SchemaVersion)
	case doc.FSLayers != nil:
		return nil, fmt.Errorf("%s: %w: fsLayers belong to schema 1", mediaType, ErrInvalid)
	case IsManifest(mediaType) && doc.Manifests != nil:
		return nil, fmt.Errorf("%s: %w: a manifest with manifests", mediaType, ErrInvalid)
	case IsIndex(mediaType) && (doc.Config != nil || doc.Layers != nil):
		return nil, fmt.Errorf("%s: %w: an index with config or layers", mediaType, ErrInvalid)
	}
	return &doc, nil
}

// ValidateDescriptor checks digest, size and media type of d.
func ValidateDescriptor(d Descriptor) error {
	if _, err := ParseDigest(d.Digest.String()); err != nil {
		return err
	}
	if d.Size < 0 {
		return fmt.Errorf("descriptor %s: %w: size %d", d.Digest, ErrInvalid, d.Size)
	}
	if !isMediaType(d.MediaType) {
		return fmt.Errorf("descriptor %s: %w: media type %q", d.Digest, ErrInvalid, d.MediaType)
	}
	return nil
}

// ParseManifest decodes an image or artifact manifest after the checks of
// Successors.
func ParseManifest(mediaType string, data []byte) (Manifest, error) {
	var m Manifest
	if !IsManifest(mediaType) {
		return m, fmt.Errorf("manifest: %w: media type %q", ErrInvalid, mediaType)
	}
	if _, err := Successors(mediaType, data); err != nil {
		return m, err
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("manifest: %w: %v", ErrInvalid, err)
	}
	return m, nil
}

// ParseIndex decodes an index after the checks of Successors.
func ParseIndex(mediaType string, data []byte) (Index, error) {
	var x Index
	if !IsIndex(mediaType) {
		return x, fmt.Errorf("index: %w: media type %q", ErrInvalid, mediaType)
	}
	if _, err := Successors(mediaType, data); err != nil {
		return x, err
	}
	if err := json.Unmarshal(data, &x); err != nil {
		return x, fmt.Errorf("index: %w: %v", ErrInvalid, err)
	}
	return x, nil
}

// DetectManifest says which manifest type data is, by its mediaType field or,
// where that is missing, by its fields; "" when it is neither manifest nor
// index. Docker's schema 1 is reported by its own type, which nothing here
// reads.
func DetectManifest(data []byte) string {
	var doc document
	if len(data) > MaxManifestSize || json.Unmarshal(data, &doc) != nil {
		return ""
	}
	switch {
	case HasSuccessors(doc.MediaType):
		return doc.MediaType
	case doc.MediaType != "":
		return ""
	case doc.FSLayers != nil:
		return mediaTypeDockerSchema1Signed
	case doc.SchemaVersion == 2 && doc.Manifests != nil && doc.Config == nil:
		return MediaTypeIndex
	case doc.SchemaVersion == 2 && doc.Config != nil && doc.Layers != nil && doc.Manifests == nil:
		return MediaTypeManifest
	}
	return ""
}

// IsSchema1 says whether mediaType is one of Docker's schema 1, which no
// current tool writes and dist does not read.
func IsSchema1(mediaType string) bool {
	return mediaType == mediaTypeDockerSchema1 || mediaType == mediaTypeDockerSchema1Signed
}
