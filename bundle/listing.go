package bundle

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// annotationName is where containerd and those after it keep an image's full
// reference.
const annotationName = "io.containerd.image.name"

// layoutVersion is the one version of the layout there is (image-spec,
// image-layout.md).
const layoutVersion = "1.0.0"

// layoutFile is what the file oci-layout says.
func layoutFile() []byte { return []byte(`{"imageLayoutVersion":"` + layoutVersion + `"}`) }

// maxLayoutFile bounds the file oci-layout.
const maxLayoutFile = 4 << 10

// entry is one descriptor of index.json.
type entry struct {
	oci.Descriptor
	full oci.Reference // zero when it has none
	tag  string        // "" when it has none
}

func newEntry(d oci.Descriptor) entry {
	e := entry{Descriptor: d, tag: d.Annotations[oci.AnnotationRefName]}
	name := d.Annotations[annotationName]
	if name == "" && isReference(e.tag) {
		name = e.tag // some programs have the whole name there
	}
	if ref, err := oci.ParseReference(name); err == nil && isReference(name) {
		e.full = ref.Local()
	}
	if e.full.Tag != "" && (e.tag == "" || isReference(e.tag)) {
		e.tag = e.full.Tag
	}
	return e
}

// parseListing reads an index.json.
func parseListing(data []byte) ([]entry, error) {
	x, err := oci.ParseIndex(oci.MediaTypeIndex, data)
	if err != nil {
		return nil, fmt.Errorf("index.json: %w: %w", content.ErrCorrupt, err)
	}
	entries := make([]entry, 0, len(x.Manifests))
	for _, d := range x.Manifests {
		entries = append(entries, newEntry(d))
	}
	return entries, nil
}

// checkLayout judges the file oci-layout.
func checkLayout(data []byte) error {
	var l struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(data, &l); err != nil {
		return fmt.Errorf("oci-layout: %w: %v", content.ErrCorrupt, err)
	}
	if l.Version != layoutVersion {
		return fmt.Errorf("oci-layout: %w: version %q, want %s", content.ErrUnsupported, l.Version, layoutVersion)
	}
	return nil
}

// answers says whether e is what name asks for.
func (e entry) answers(name string) bool {
	if !isReference(name) {
		return e.tag == name
	}
	ref, err := oci.ParseReference(name)
	return err == nil && ref.Local() == e.full
}

// label is how a person chooses e.
func (e entry) label() string {
	switch {
	case e.full != (oci.Reference{}):
		return e.full.String()
	case e.tag != "":
		return e.tag
	}
	s := "@" + e.Digest.String()
	if p := oci.FormatPlatform(e.Platform); p != "" {
		s += " (" + p + ")"
	}
	return s
}

// pick finds what p asks for.
func pick(entries []entry, p place) (entry, error) {
	found := slices.DeleteFunc(slices.Clone(entries), func(e entry) bool {
		return !oci.HasSuccessors(e.MediaType) || (p.name != "" && !e.answers(p.name))
	})
	if p.name == "" {
		found = plain(found)
	}
	switch {
	case len(found) == 0 && p.name != "":
		return entry{}, content.WithHint(fmt.Errorf("image %q in %s: %w", p.name, p.path, content.ErrNotFound), "it has %s", labels(entries))
	case len(found) == 0:
		return entry{}, fmt.Errorf("image in %s: %w: it lists none", p.path, content.ErrNotFound)
	case slices.ContainsFunc(found, func(e entry) bool { return e.Digest != found[0].Digest }):
		return entry{}, content.WithHint(fmt.Errorf("image in %s: %w: there are several", p.path, content.ErrInvalid),
			"choose one, as in %s:NAME or %s@DIGEST; it has %s", p.path, p.path, labels(found))
	}
	return found[0], nil
}

// plain leaves out what stands beside an image: what cosign keeps there and, where
// something has a name, all that has none, and the tags under which referrers are
// kept.
func plain(entries []entry) []entry {
	entries = slices.DeleteFunc(slices.Clone(entries), func(e entry) bool { return e.cosignSuffix() != "" })
	named := slices.DeleteFunc(slices.Clone(entries), func(e entry) bool {
		return (e.full == oci.Reference{} && e.tag == "") || oci.IsReferrersTag(e.tag)
	})
	if len(named) == 0 {
		return entries
	}
	return named
}

// labels lists a few of the names there are.
func labels(entries []entry) string {
	const few = 20
	var all []string
	for _, e := range entries {
		if l := e.label(); !slices.Contains(all, l) {
			all = append(all, l)
		}
	}
	slices.Sort(all)
	switch {
	case len(all) == 0:
		return "no image"
	case len(all) > few:
		return fmt.Sprintf("%s and %d more", strings.Join(all[:few], ", "), len(all)-few)
	}
	return strings.Join(all, ", ")
}

// listed is an image's descriptor as it stands in index.json.
func listed(d oci.Descriptor, full oci.Reference, tag string) oci.Descriptor {
	out := oci.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, Platform: d.Platform, ArtifactType: d.ArtifactType}
	if full == (oci.Reference{}) && tag == "" {
		return out
	}
	out.Annotations = map[string]string{}
	if full != (oci.Reference{}) {
		out.Annotations[annotationName] = full.String()
	}
	if tag != "" {
		out.Annotations[oci.AnnotationRefName] = tag
	}
	return out
}

// same says whether b takes the place of a in a list: they have one name, or are
// one manifest of which b says nothing new.
func same(a, b entry) bool {
	none := oci.Reference{}
	switch {
	case a.full != none && b.full != none:
		return a.full == b.full
	case b.full == none && b.tag == "":
		return a.Digest == b.Digest
	case a.full == none && a.tag == "":
		return a.Digest == b.Digest
	}
	return a.tag == b.tag
}

// addTo puts items into an index.json, nil for a new one, each in the place of
// what it replaces. All else in it stays as it is.
func addTo(data []byte, items []oci.Descriptor) ([]byte, error) {
	if data == nil {
		data = []byte(`{"schemaVersion":2,"mediaType":"` + oci.MediaTypeIndex + `","manifests":[]}`)
	}
	old, err := parseListing(data)
	if err != nil {
		return nil, err
	}
	doc, err := oci.ParseDocument(data, "manifests")
	if err != nil {
		return nil, err
	}
	var raw []json.RawMessage
	if _, err := doc.Get("manifests", &raw); err != nil {
		return nil, err
	}
	for _, d := range items {
		if raw, old, err = replace(raw, old, d); err != nil {
			return nil, err
		}
	}
	if err := doc.Set("manifests", raw); err != nil {
		return nil, err
	}
	out, _, err := oci.Encode(oci.MediaTypeIndex, doc)
	if err != nil { // sound as it is, it can only be too large
		return nil, content.WithHint(fmt.Errorf("index.json: %w: %v", content.ErrUnsupported, err), "fewer names at a time fit it")
	}
	return out, nil
}

// replace puts d into raw, which old says the meaning of.
func replace(raw []json.RawMessage, old []entry, d oci.Descriptor) ([]json.RawMessage, []entry, error) {
	e := newEntry(d)
	item, err := json.Marshal(d)
	if err != nil {
		return nil, nil, err
	}
	unnamed := e.full == (oci.Reference{}) && e.tag == ""
	at := -1
	for i := 0; i < len(old); {
		switch {
		case !same(old[i], e):
			i++
		case unnamed:
			return raw, old, nil // it is listed, perhaps by a name
		case at < 0:
			at = i
			i++
		default:
			raw, old = slices.Delete(raw, i, i+1), slices.Delete(old, i, i+1)
		}
	}
	if at < 0 {
		return append(raw, item), append(old, e), nil
	}
	raw[at], old[at] = item, e
	return raw, old, nil
}
