package bundle

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// name is a name and its full form, which names are ordered and found by.
type name struct {
	content.Name
	full string
}

// ownRepository is the repository of what a place holds without naming one:
// localhost/ and the last part of its path, without .tar.
func ownRepository(path string) oci.Reference {
	const longest = 100
	var b strings.Builder
	gap := ""
	for _, c := range []byte(strings.ToLower(strings.TrimSuffix(filepath.Base(path), ".tar"))) {
		if ('a' > c || c > 'z') && ('0' > c || c > '9') {
			gap += string(rune(c))
			continue
		}
		if b.Len() >= longest {
			break
		}
		if b.Len() > 0 && gap != "" {
			b.WriteString(separator(gap))
		}
		gap = ""
		b.WriteByte(c)
	}
	ref, err := oci.ParseRepository("localhost/" + b.String())
	if err != nil { // nothing of the path can stand in a name
		ref = oci.Reference{Registry: "localhost", Repository: "image"}
	}
	return ref
}

// separator is what stands for gap between two words of a repository's name.
func separator(gap string) string {
	if gap == "." || gap == "_" || gap == "__" {
		return gap
	}
	return "-"
}

// given is the name that e is served under: its full one, or its tag in own. The
// zero Reference stands for none.
func (e entry) given(own oci.Reference) oci.Reference {
	if e.full != (oci.Reference{}) {
		if e.full.Digest != "" && e.full.Digest != e.Digest {
			return oci.Reference{} // a name that says it is something else
		}
		return e.full
	}
	ref, err := own.WithTag(e.tag)
	if err != nil {
		return oci.Reference{}
	}
	return ref
}

// namesOf are the names of a view in order: those that are given, and for whatever
// would have none its digest in own. A name that is given to several digests is
// nobody's, since who serves it cannot know which of them is meant.
func (v *view) namesOf(entries []entry, own oci.Reference, warn func(string)) []name {
	byName := map[oci.Reference][]oci.Digest{}
	for _, e := range entries {
		ref := e.given(own)
		if ref != (oci.Reference{}) && !slices.Contains(byName[ref], e.Digest) {
			byName[ref] = append(byName[ref], e.Digest)
		}
	}
	var out []name
	named := map[oci.Digest]bool{}
	for ref, digests := range byName {
		if len(digests) > 1 {
			warn(fmt.Sprintf("%s stands for %d different images: they are served by their digests alone", ref, len(digests)))
			continue
		}
		named[digests[0]] = true
		out = append(out, v.name(ref, digests[0]))
	}
	for _, d := range v.roots() {
		if !named[d] {
			out = append(out, v.name(own.WithDigest(d), d))
		}
	}
	slices.SortFunc(out, func(a, b name) int { return cmp.Compare(a.full, b.full) })
	return out
}

func (v *view) name(ref oci.Reference, d oci.Digest) name {
	n := v.nodes[d]
	return name{content.Name{Reference: ref, Target: oci.Descriptor{MediaType: n.mediaType, Digest: d, Size: n.size}}, ref.String()}
}
