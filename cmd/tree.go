package cmd

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"dist.example/client"
	"dist.example/oci"
)

// treeCmd is `dist tree`.
type treeCmd struct {
	ID       string   `arg:"" name:"id" complete:"id|locator" help:"What to show: ${id}; or a locator: docker://REFERENCE asks the registry, oci:DIR:TAG looks into a layout."`
	Platform platform `placeholder:"OS/ARCH" help:"Of an index, show only the image for this platform."`
	networkFlags
}

// Help is the longer text of `dist tree --help`.
func (treeCmd) Help() string {
	return `Shows an image with its signatures, attestations, SBOMs and whatever else is about it, what is about those, and the same of each image of an index. Things are about an image by their subject (referrers), or by their tag, as cosign has it (sha256-….sig); the latter are shown with the tag's end.

A name or digest is looked up in the store, and nobody is asked. docker://REFERENCE asks the registry; nothing is stored.

Examples:

    $ dist tree redis:7
    $ dist tree docker://quay.io/prometheus/prometheus:v3.0.0
    $ dist tree --platform linux/arm64 --format json redis:7`
}

// treeJSON is a manifest with what is about it.
type treeJSON struct {
	Kind        string            `json:"kind"`
	Digest      oci.Digest        `json:"digest"`
	MediaType   string            `json:"mediaType"`
	Size        int64             `json:"size"`
	Artifact    string            `json:"artifactType,omitempty"`
	Platform    string            `json:"platform,omitempty"`
	Tag         string            `json:"tag,omitempty"`
	Predicate   string            `json:"predicateType,omitempty"`
	Layers      int               `json:"layers"`
	Created     string            `json:"created,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	About       []treeJSON        `json:"about"`
	Images      []treeJSON        `json:"images"`
}

func newTreeJSON(n client.TreeNode) treeJSON {
	j := treeJSON{
		Kind: strings.ToLower(string(n.Kind)), Digest: n.Digest, MediaType: n.MediaType, Size: n.Size, Artifact: n.ArtifactType,
		Platform: oci.FormatPlatform(n.Platform), Tag: n.Tag, Predicate: n.Predicate, Layers: n.Layers,
		Created: n.Annotations[oci.AnnotationCreated], Annotations: n.Annotations,
		About: []treeJSON{}, Images: []treeJSON{},
	}
	for _, a := range n.About {
		j.About = append(j.About, newTreeJSON(a))
	}
	for _, i := range n.Images {
		j.Images = append(j.Images, newTreeJSON(i))
	}
	return j
}

// Run shows the tree.
func (c *treeCmd) Run(s *session) error {
	dist, err := s.client(c.networkFlags, 0)
	if err != nil {
		return err
	}
	start := time.Now()
	n, err := dist.Tree(s.ctx, c.ID, client.TreeOptions{Platform: c.Platform.Platform})
	if err != nil {
		return about(c.ID, err)
	}
	err = s.object(newTreeJSON(n), func(w io.Writer) error {
		if _, err := fmt.Fprintf(w, "%s %s\n", printable(c.ID), n.Digest); err != nil {
			return err
		}
		return printTree(w, n, "")
	})
	if err != nil || dist.Traffic().Requests == 0 {
		return err
	}
	s.asked(dist, start, false)
	return nil
}

// printTree prints what is below a node, each line after indent.
func printTree(w io.Writer, n client.TreeNode, indent string) error {
	below := append(n.About[:len(n.About):len(n.About)], n.Images...)
	for i, child := range below {
		branch, more := "├─ ", "│  "
		if i == len(below)-1 {
			branch, more = "└─ ", "   "
		}
		if _, err := fmt.Fprintln(w, indent+branch+treeLine(child)); err != nil {
			return err
		}
		if err := printTree(w, child, indent+more); err != nil {
			return err
		}
	}
	return nil
}

// treeLine is a node in a line: what it is, its digest and size, and what more it says
// of itself.
func treeLine(n client.TreeNode) string {
	what := string(n.Kind)
	if p := oci.FormatPlatform(n.Platform); p != "" && !oci.IsAttestation(n.Descriptor) {
		what = p
	}
	words := []string{what, oci.ShortDigest(n.Digest), oci.HumanSize(n.Size)}
	add := func(word string) {
		if word != "" {
			words = append(words, word)
		}
	}
	if n.Tag == "" {
		add(cmp.Or(n.Predicate, n.ArtifactType))
	} else {
		add(n.Tag[strings.LastIndexByte(n.Tag, '.'):])
	}
	if n.Tag != "" && n.Layers > 1 {
		add(plural(int64(n.Layers), string(n.Kind)))
	}
	add(n.Annotations[oci.AnnotationCreated])
	return printable(strings.Join(words, "  "))
}
