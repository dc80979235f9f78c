package cmd

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"dist.example/client"
	"dist.example/oci"
	"dist.example/sign"
)

// signCmd is `dist sign`.
type signCmd struct {
	signingFlags
	quietFlag
	jobsFlag
	networkFlags
	Recursive  bool     `short:"R" help:"Sign what an index lists, too: for those who pull one image of it by its digest."`
	Annotation []string `sep:"none" placeholder:"KEY=VALUE" complete:"none" help:"Sign this with it; verify --annotation asks for it. ${repeat}"`
	Identity   string   `placeholder:"NAME" complete:"name" help:"Name that is signed for, in place of the one that ID says."`
	ID         string   `arg:"" name:"id" complete:"id" help:"What to sign: ${id}; or docker://REFERENCE for one in a registry."`
}

// Help is the longer text of `dist sign --help`.
func (signCmd) Help() string {
	return `A signature says: this key vouches for this manifest under this name. An image under another name, or another tag, is not vouched for, and neither is an older one once a newer one has been accepted. What is signed stays as it is; signatures lie beside it, and pull, push, copy and sync bring them along.

Nothing is sent but to the registry of docker://REFERENCE. cosign accepts such signatures with --key and --insecure-ignore-tlog: there is no log of who signed what.

With --recursive what an index lists is signed for the repository, without the tag: it counts for NAME@DIGEST, and where one image of the index stands under the tag itself, as in a bundle of a list with platforms, by the rule matchRepository alone. A key vouches for one manifest under a tag.

The key is opened once, however many manifests are signed.

Examples:

    $ dist key generate
    $ dist sign registry.example/team/app:v1
    $ dist sign -k release --annotation commit=4f2a91c registry.example/team/app:v1
    $ dist sign -k ci --recursive docker://registry.example/team/app:v1
    $ DIST_PASSWORD="$SECRET" dist sign --format bundle -k ci demo:v1`
}

type signedJSON struct {
	Digest     oci.Digest   `json:"digest"`
	MediaType  string       `json:"mediaType"`
	Identity   string       `json:"identity"`
	Key        oci.Digest   `json:"key"`
	Serial     int64        `json:"serial"`
	Signatures []oci.Digest `json:"signatures"` // manifests that carry it
}

func newSignedJSON(s client.Signed) signedJSON {
	return signedJSON{s.Descriptor.Digest, s.Descriptor.MediaType, s.Identity, s.Key, s.Serial, s.Manifests}
}

// newSignedPart is that of what a verb made, null when no key signed it.
func newSignedPart(s *client.Signed) *signedJSON {
	if s == nil {
		return nil
	}
	j := newSignedJSON(*s)
	return &j
}

// Run signs, and prints what was signed.
func (c *signCmd) Run(s *session) error {
	annotations, err := parsePairs("--annotation", c.Annotation)
	if err != nil {
		return err
	}
	dist, err := s.transfers(c.networkFlags, c.Jobs)
	if err != nil {
		return err
	}
	o := c.signingFlags.options(s)
	o.Recursive, o.Annotations, o.Identity = c.Recursive, annotations, c.Identity
	start := time.Now()
	signed, err := dist.Sign(s.ctx, c.ID, o)
	if err != nil {
		return about(c.ID, err)
	}
	err = printList(s.stdout, s.format(), c.Quiet, listing[client.Signed]{
		key:     "signed",
		columns: columns("DIGEST", "FOR", "KEY"),
		row: func(d client.Signed) []string {
			return []string{oci.ShortDigest(d.Descriptor.Digest), d.Identity, oci.ShortDigest(d.Key)}
		},
		id:     func(d client.Signed) string { return d.Descriptor.Digest.String() },
		object: func(d client.Signed) any { return newSignedJSON(d) },
	}, each(signed))
	if t := dist.Traffic(); err == nil && t.Requests > 0 && !c.Quiet {
		s.progress.summary(account{moved: t.BytesOut, requests: t.Requests}, time.Since(start))
	}
	return err
}

// signatureJSON is one signature, and what became of it.
type signatureJSON struct {
	Form     string     `json:"form"` // simplesigning or bundle
	Manifest oci.Digest `json:"manifest"`
	Blob     oci.Digest `json:"blob"`
	// Key made it; "" when no key that is trusted did.
	Key         oci.Digest        `json:"key"`
	Label       string            `json:"label"`
	Identity    string            `json:"identity"`
	Created     time.Time         `json:"created,omitzero"`
	Creator     string            `json:"creator,omitempty"`
	Serial      int64             `json:"serial,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	// Verified: it counts. Otherwise Reason is a word for why not, and Detail a
	// sentence.
	Verified bool   `json:"verified"`
	Reason   string `json:"reason,omitempty"`
	Detail   string `json:"detail,omitempty"`
}

func newSignatureJSON(g client.Signature) signatureJSON {
	claim := g.Candidate.Claim
	j := signatureJSON{
		Form: string(g.Candidate.Kind), Manifest: g.Candidate.Manifest, Blob: g.Candidate.Blob, Label: g.Label,
		Identity: claim.Identity, Created: claim.Created, Creator: claim.Creator, Serial: claim.Serial,
		Annotations: claim.Annotations, Verified: g.Reason == "", Reason: string(g.Reason), Detail: g.Detail,
	}
	if g.Key != nil {
		j.Key = g.Key.ID()
	}
	return j
}

// key is the signature's key for people.
func (j signatureJSON) key() string {
	switch {
	case j.Label != "":
		return fmt.Sprintf("%s (%s)", j.Label, oci.ShortDigest(j.Key))
	case j.Key != "":
		return oci.ShortDigest(j.Key)
	}
	return "unknown"
}

// text is the signature in one line.
func (j signatureJSON) text() string {
	if !j.Verified {
		by := ""
		if j.Key != "" {
			by = " by " + j.key()
		}
		word := "does not count"
		if j.Reason == string(sign.ReasonNoRule) {
			word = "not judged"
		}
		return fmt.Sprintf("%s: %s %s%s: %s: %s", word, j.Form, oci.ShortDigest(j.Manifest), by, j.Reason, j.Detail)
	}
	text := fmt.Sprintf("counts: %s, key %s, for %s", j.Form, j.key(), dash(j.Identity))
	if !j.Created.IsZero() {
		text += ", made " + j.Created.Format(time.RFC3339)
	}
	for _, k := range slices.Sorted(maps.Keys(j.Annotations)) {
		text += fmt.Sprintf(", %s=%s", k, j.Annotations[k])
	}
	return text
}
