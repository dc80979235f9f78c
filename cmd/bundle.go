package cmd

import (
	"fmt"
	"io"
	"strings"
	"time"

	"dist.example/bundle"
	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
)

// bundleJSON is a bundle as inspect and verify show it.
type bundleJSON struct {
	Path string `json:"path"`
	// Contents are what it says of itself, none for an archive of somebody else's.
	Contents *bundle.Contents `json:"contents,omitempty"`
	Index    oci.Digest       `json:"index,omitempty"` // digest of its index.json
	Signed   bool             `json:"signed"`
	Signer   string           `json:"signer,omitempty"` // label of the key that made the signature, as far as it is known here
	// Vouchers are the keys that vouch for it by the policy, or --key.
	Vouchers []oci.Digest       `json:"vouchers"`
	Refused  string             `json:"refused,omitempty"` // what speaks against it
	Images   []bundleImageJSON  `json:"images"`
	From     *bundle.Provenance `json:"provenance,omitempty"`
}

type bundleImageJSON struct {
	Name       string          `json:"name"`
	Digest     oci.Digest      `json:"digest"`
	MediaType  string          `json:"mediaType"`
	Carried    bool            `json:"carried"` // its manifest is in the bundle
	Verified   bool            `json:"verified"`
	Refused    string          `json:"refused,omitempty"`
	Signatures []signatureJSON `json:"signatures"`
}

func newBundleJSON(a client.BundleAbout) bundleJSON {
	j := bundleJSON{
		Path: a.Path, Contents: a.Contents, Index: a.Index, Signed: a.Signed, Signer: a.Signer,
		Vouchers: append([]oci.Digest{}, a.Vouchers...), Refused: errorText(a.Refused), Images: []bundleImageJSON{},
	}
	if p := a.Provenance; len(p.Sources)+len(p.Vouched) > 0 {
		j.From = &p
	}
	for _, im := range a.Images {
		one := bundleImageJSON{
			Name: im.Label(), Digest: im.Target.Digest, MediaType: im.Target.MediaType, Carried: im.Carried,
			Verified: im.Verified, Refused: errorText(im.Refused), Signatures: []signatureJSON{},
		}
		for _, g := range im.Signatures {
			one.Signatures = append(one.Signatures, newSignatureJSON(g))
		}
		j.Images = append(j.Images, one)
	}
	return j
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (j bundleJSON) print(w io.Writer) error {
	if err := printFields(w, j.fields()); err != nil || len(j.Images) == 0 {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	t := newTable(w, columns("NAME", "DIGEST", "TRUST", "SIGNATURES|", "CARRIED"))
	for _, im := range j.Images {
		trust := trustWord(im.Verified)
		if im.Refused != "" {
			trust = "refused"
		}
		carried := "yes"
		if !im.Carried {
			carried = "no"
		}
		if err := t.add(im.Name, oci.ShortDigest(im.Digest), trust, fmt.Sprint(len(im.Signatures)), carried); err != nil {
			return err
		}
	}
	return t.flush()
}

// fields are what is said of the bundle as a whole.
func (j bundleJSON) fields() [][2]string {
	fields := [][2]string{{"bundle", j.Path}}
	add := func(name, format string, args ...any) {
		fields = append(fields, [2]string{name, fmt.Sprintf(format, args...)})
	}
	c := j.Contents
	if c == nil {
		add("contents", "it does not say what it holds: an archive or a layout of another program's")
		return fields
	}
	if c.Name != "" {
		add("name", "%s, serial %d", c.Name, c.Serial)
	}
	if !c.Created.IsZero() {
		add("created", "%s", c.Created.UTC().Format(time.RFC3339))
	}
	if !c.Expires.IsZero() {
		add("expires", "%s", c.Expires.UTC().Format(time.RFC3339))
	}
	add("signature", "%s", j.signature())
	if j.Refused != "" {
		add("refused", "%s", j.Refused)
	}
	if b := c.Base; b != nil {
		add("on top of", "%s", baseText(*b))
	}
	add("carries", "%d blobs, %s", len(c.Blobs), oci.HumanSize(c.TotalSize))
	if len(c.Absent) > 0 {
		add("absent", "%d images of indexes, left out by the sender", len(c.Absent))
	}
	if j.From != nil {
		add("sources", "%d places", len(j.From.Sources))
	}
	add("index", "%s", j.Index)
	return fields
}

func (j bundleJSON) signature() string {
	switch {
	case len(j.Vouchers) > 0:
		return "vouched for by key " + shortDigests(j.Vouchers, ", ")
	case j.Signed && j.Signer != "":
		return "by the key " + j.Signer + ", and nobody asks for it"
	case j.Signed:
		return "by a key that nobody here vouches for"
	}
	return "none"
}

// baseText is what a delta is on top of, for people.
func baseText(b bundle.Base) string {
	var words []string
	if b.Site != "" {
		words = append(words, "what site "+b.Site+" has")
	}
	if b.Name != "" {
		words = append(words, fmt.Sprintf("bundle %s, serial %d", b.Name, b.Serial))
	}
	if b.Request != "" {
		words = append(words, "what was asked for")
	}
	if !b.Created.IsZero() {
		words = append(words, "as of "+b.Created.UTC().Format(time.RFC3339))
	}
	return strings.Join(words, ", ") + fmt.Sprintf(" (%d blobs, %s left out)", b.Blobs, oci.HumanSize(b.Size))
}

// bundleVerifiedJSON is the outcome of verify for a bundle.
type bundleVerifiedJSON struct {
	bundleJSON
	ReadBlobs int   `json:"readBlobs"` // that were read and hashed
	ReadBytes int64 `json:"readBytes"`
	Missing   []int `json:"missingVolumes"`
}

// inspectBundle is inspect for bundle:PATH.
func (s *session) inspectBundle(dist *client.Client, word string) error {
	a, err := dist.InspectBundle(s.ctx, word)
	if err != nil {
		return about(word, err)
	}
	j := newBundleJSON(a)
	return s.object(j, j.print)
}

// verifyBundle is verify for bundle:PATH: the outcome is printed whenever there is one.
func (s *session) verifyBundle(dist *client.Client, word string, quiet bool, o client.VerifyOptions) error {
	s.progress.start()
	v, verr := dist.VerifyBundle(s.ctx, word, o)
	s.progress.stop()
	class := classify(verr).err
	if verr != nil && class != content.ErrUntrusted && class != content.ErrPartial && (class != content.ErrUnsupported || v.Path == "") {
		return about(word, verr)
	}
	j := bundleVerifiedJSON{newBundleJSON(v.BundleAbout), v.Blobs, v.Audit.Size, append([]int{}, v.Missing...)}
	j.Path = v.Path
	if quiet && verr == nil {
		return line(v.BundleAbout.Index.String())(s.stdout)
	}
	if !quiet {
		if err := s.object(j, j.print); err != nil {
			return err
		}
	}
	return about(word, verr)
}

func (j bundleVerifiedJSON) print(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "%s: %d blobs, %s, all as they should be\n", printable(j.Path), j.ReadBlobs, oci.HumanSize(j.ReadBytes)); err != nil {
		return err
	}
	return j.bundleJSON.print(w)
}
