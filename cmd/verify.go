package cmd

import (
	"errors"
	"fmt"
	"io"
	"time"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

// verifyCmd is `dist verify`.
type verifyCmd struct {
	policyFlag
	quietFlag
	networkFlags
	Key            []string     `short:"k" sep:"none" placeholder:"KEY" complete:"key" help:"Key that has to vouch, in place of the policy: ${key}. Of several one is enough. ${repeat}"`
	SignedIdentity identityRule `placeholder:"RULE" help:"With --key, which name in a signature is good: matchRepoDigestOrExact (the default), matchExact, matchRepository, exactReference=NAME, exactRepository=NAME, remapIdentity=PREFIX=SIGNEDPREFIX, or unbound, which takes signatures for no name, as cosign's bundles are."`
	Annotation     []string     `sep:"none" placeholder:"KEY=VALUE" complete:"none" help:"Ask for this to be signed with it. ${repeat}"`
	Identity       string       `placeholder:"NAME" complete:"name" help:"Name that it is to be signed for, in place of the one that ID says."`
	ID             string       `arg:"" name:"id" complete:"id|bundle" help:"What to verify: ${id}; or docker://REFERENCE or another locator for one elsewhere; or bundle:PATH for a whole bundle."`
}

// identityRule is the value of --signed-identity.
type identityRule struct{ sign.IdentityRule }

// UnmarshalText takes what sign.ParseIdentityRule takes; empty is the default.
func (r *identityRule) UnmarshalText(text []byte) (err error) {
	if r.IdentityRule = (sign.IdentityRule{}); len(text) > 0 {
		r.IdentityRule, err = sign.ParseIdentityRule(string(text))
	}
	return err
}

// Help is the longer text of `dist verify --help`.
func (verifyCmd) Help() string {
	return `Verifying needs no network for what is in the store, and no log. Every signature is judged alone, and told with the key that vouches, or with the reason why it does not count; exit 5 when what the policy or --key asks for is not met.

A name is part of what is signed. cosign signs for no name in its bundles, and without the tag in its older form: --signed-identity unbound, or matchRepository, takes those.

Without --key the policy decides. Where the policy accepts anything, nobody vouches: that is exit 5, too.

bundle:PATH reads a whole bundle (dist export), all of its volumes or an archive of another program, hashes every byte, and judges the signature of the bundle and those of its images; what is damaged is exit 4. Of volumes some of which are missing each that is there is checked by itself: exit 10. With --key that key has to have signed the bundle.

Examples:

    $ dist verify registry.example/team/app:v1
    $ dist verify --key vendor.pub registry.example/team/app:v1
    $ dist verify --key cosign.pub --signed-identity unbound docker://registry.example/team/app:v1
    $ dist verify --policy policy.json --format json demo:v1
    $ dist verify --key courier.pub bundle:site.tar`
}

type verifiedJSON struct {
	Name       string          `json:"name"`
	Digest     oci.Digest      `json:"digest"`
	MediaType  string          `json:"mediaType"`
	Verified   bool            `json:"verified"`
	Policy     string          `json:"policy"` // its file, "" where --key was given
	Scope      string          `json:"scope"`  // of the policy
	Signatures []signatureJSON `json:"signatures"`
}

// Run judges the signatures, and prints what became of each. That they do not do is
// said after it.
func (c *verifyCmd) Run(s *session) error {
	annotations, err := parsePairs("--annotation", c.Annotation)
	if err != nil {
		return err
	}
	s.under(c.policyFlag)
	dist, err := s.client(c.networkFlags, 0)
	if err != nil {
		return err
	}
	o := client.VerifyOptions{Keys: c.Key, Identity: c.SignedIdentity.IdentityRule, Annotations: annotations, Name: c.Identity}
	if client.IsWholeBundle(c.ID) {
		if c.Identity != "" || len(annotations) > 0 || o.Identity.Type != "" {
			return usagef("--identity, --annotation and --signed-identity are for one image; bundle:PATH:NAME names one")
		}
		return s.verifyBundle(dist, c.ID, c.Quiet, o)
	}
	start := time.Now()
	v, verr := dist.Verify(s.ctx, c.ID, o)
	judged := verr == nil || errors.Is(verr, content.ErrUntrusted)
	if c.Quiet && verr == nil {
		return line(v.Descriptor.Digest.String())(s.stdout)
	}
	if judged && !c.Quiet {
		j := newVerifiedJSON(v)
		if err := s.object(j, j.print); err != nil {
			return err
		}
	}
	// What was asked for is told whatever came of it; an error in JSON stands alone.
	if dist.Traffic().Requests > 0 && (verr == nil || !s.format().json()) {
		s.asked(dist, start, c.Quiet)
	}
	return about(c.ID, verr)
}

func newVerifiedJSON(v client.Judged) verifiedJSON {
	j := verifiedJSON{
		Digest: v.Descriptor.Digest, MediaType: v.Descriptor.MediaType, Verified: v.Verified,
		Policy: v.Policy, Scope: v.Scope, Signatures: []signatureJSON{},
	}
	if v.Name != (oci.Reference{}) {
		j.Name = v.Name.String()
	}
	for _, g := range v.Signatures {
		j.Signatures = append(j.Signatures, newSignatureJSON(g))
	}
	return j
}

func (j verifiedJSON) print(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "%s %s\n", dash(j.Name), j.Digest); err != nil {
		return err
	}
	for _, g := range j.Signatures {
		if _, err := fmt.Fprintln(w, "  "+printable(g.text())); err != nil {
			return err
		}
	}
	return nil
}
