package client

import (
	"fmt"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// Platforms say which images of an index are wanted. The zero value is this
// machine's platform.
type Platforms struct {
	All  bool
	Only *oci.Platform // nil is oci.DefaultPlatform
}

func (p Platforms) want() oci.Platform {
	if p.Only != nil {
		return *p.Only
	}
	return oci.DefaultPlatform()
}

// children picks what of a manifest is moved, and refuses what this program does
// not know: a section of an unknown type is somebody's feature, and leaving it
// out in silence would break it.
func (p Platforms) children(parent oci.Descriptor, edges []oci.Edge) ([]oci.Edge, error) {
	if oci.IsIndex(parent.MediaType) {
		return p.manifests(parent, edges)
	}
	image := false
	for _, e := range edges {
		image = image || e.Role == oci.RoleConfig && oci.IsImageConfig(e.MediaType)
	}
	var out []oci.Edge
	for _, e := range edges {
		if image && e.Role == oci.RoleLayer && !oci.IsImageLayer(e.MediaType) {
			return nil, unknownSection(parent, e)
		}
		if oci.IsNonDistributable(e.MediaType) {
			continue
		}
		out = append(out, e)
	}
	return out, nil
}

func unknownSection(parent oci.Descriptor, e oci.Edge) error {
	return fmt.Errorf("manifest %s: %w: section %s is of the unknown type %q", parent.Digest, content.ErrUnsupported, e.Digest, e.MediaType)
}

// manifests picks the images of an index: those of the platform, and what has no
// platform where it is an index itself or where nothing has one.
func (p Platforms) manifests(parent oci.Descriptor, edges []oci.Edge) ([]oci.Edge, error) {
	var (
		candidates []oci.Descriptor
		some       bool
	)
	for _, e := range edges {
		if !oci.HasSuccessors(e.MediaType) {
			return nil, unknownSection(parent, e)
		}
		candidates = append(candidates, e.Descriptor)
		some = some || e.Platform != nil
	}
	if p.All || !some {
		return edges, nil
	}
	chosen, ok := oci.SelectPlatform(candidates, p.want())
	var out []oci.Edge
	for _, e := range edges {
		if ok && e.Digest == chosen.Digest || e.Platform == nil && oci.IsIndex(e.MediaType) {
			out = append(out, e)
		}
	}
	if len(out) == 0 {
		want := p.want()
		return nil, content.WithHint(
			fmt.Errorf("index %s: %w: no image for %s", parent.Digest, content.ErrNotFound, oci.FormatPlatform(&want)),
			"it has %s; choose with --platform, or take --all-platforms", platformList(candidates))
	}
	return out, nil
}

func platformList(ds []oci.Descriptor) string {
	var names []string
	for _, d := range ds {
		if n := oci.FormatPlatform(d.Platform); n != "" && d.Platform.OS != "unknown" {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return "no platform at all"
	}
	return strings.Join(names, ", ")
}
