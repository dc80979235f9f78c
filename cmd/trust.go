package cmd

import (
	"fmt"
	"io"
	"strings"

	"dist.example/client"
	"dist.example/oci"
	"dist.example/sign"
)

// trustCmd is `dist trust`.
type trustCmd struct {
	Show    trustShowCmd    `cmd:"" help:"Show the policy, and what decides about a name."`
	Add     trustAddCmd     `cmd:"" help:"Let a key vouch for names; unsigned ones are refused there from then on."`
	Remove  trustRemoveCmd  `cmd:"" help:"Take a key, or a scope, out of the policy."`
	Default trustDefaultCmd `cmd:"" help:"Say what becomes of all other names: accept or reject."`
	Lint    trustLintCmd    `cmd:"" help:"Say what in the policy others would read otherwise, or not at all."`
}

type policyJSON struct {
	Policy string      `json:"policy"` // the file
	Exists bool        `json:"exists"`
	Scopes []scopeJSON `json:"scopes"`
	// Decides is the scope that decides about the name that was asked about.
	Decides *scopeJSON `json:"decides,omitempty"`
	Lint    []string   `json:"lint"`
}

type scopeJSON struct {
	Transport    string            `json:"transport"` // docker as a rule; "" of the default
	Scope        string            `json:"scope"`
	Requirements []requirementJSON `json:"requirements"` // all of them have to be met
}

type requirementJSON struct {
	Type     string       `json:"type"`
	Keys     []oci.Digest `json:"keys,omitempty"` // one of them has to vouch
	Identity string       `json:"signedIdentity,omitempty"`
}

func newScopeJSON(s sign.Scope) scopeJSON {
	j := scopeJSON{Transport: s.Transport, Scope: s.Scope}
	for _, r := range s.Requirements {
		one := requirementJSON{Type: string(r.Type), Keys: r.KeyIDs()}
		if r.Type == sign.SignedBy && s.Transport != sign.TransportBundle {
			one.Identity = r.Identity.String()
		}
		j.Requirements = append(j.Requirements, one)
	}
	return j
}

// needs is what a scope asks for, for people.
func (j scopeJSON) needs() string {
	var words []string
	if len(j.Requirements) == 0 {
		return "nothing is asked of bundles"
	}
	for _, r := range j.Requirements {
		switch sign.RequirementType(r.Type) {
		case sign.AcceptAnything:
			words = append(words, "anything is accepted")
		case sign.RejectAll:
			words = append(words, "everything is rejected")
		default:
			by := "signed by " + shortDigests(r.Keys, " or ")
			if r.Identity != "" {
				by += " (" + r.Identity + ")"
			}
			words = append(words, by)
		}
	}
	return strings.Join(words, ", and ")
}

// title names the scope for people.
func (j scopeJSON) title() string {
	switch {
	case j.Transport == sign.TransportBundle && len(j.Requirements) == 0:
		return "no scope"
	case j.Transport == "" || j.Scope == sign.ScopeDefault:
		return "all other names"
	case j.Scope == "" && j.Transport == sign.TransportBundle:
		return "all other bundles"
	case j.Transport == sign.TransportBundle:
		return "bundle " + j.Scope
	case j.Scope == "" && j.Transport == sign.TransportDocker:
		return "all other names"
	case j.Scope == "":
		return "all other names of " + j.Transport
	case j.Transport != sign.TransportDocker:
		return j.Transport + ":" + j.Scope
	}
	return j.Scope
}

func newPolicyJSON(p client.TrustPolicy) policyJSON {
	j := policyJSON{Policy: p.Path, Exists: p.Exists, Scopes: []scopeJSON{}, Lint: append([]string{}, p.Lint...)}
	for _, s := range p.Scopes {
		j.Scopes = append(j.Scopes, newScopeJSON(s))
	}
	if p.Decides != nil {
		d := newScopeJSON(*p.Decides)
		j.Decides = &d
	}
	return j
}

func (j policyJSON) print(w io.Writer) error {
	file := j.Policy
	if !j.Exists {
		file += " (not there: everything is accepted)"
	}
	fields := [][2]string{{"policy", file}}
	if d := j.Decides; d != nil {
		fields = append(fields, [2]string{"decides", d.title()}, [2]string{"", d.needs()})
		return printFields(w, fields)
	}
	every := false // whether a scope before the default one has all names
	for _, s := range append(j.Scopes[1:], j.Scopes[0]) {
		title := s.title()
		if every && s.Scope == sign.ScopeDefault {
			title = "all else"
		}
		every = every || s.Transport == sign.TransportDocker && s.Scope == ""
		fields = append(fields, [2]string{title, s.needs()})
	}
	return printFields(w, fields)
}

// trustShowCmd is `dist trust show`.
type trustShowCmd struct {
	policyFlag
	Bundle *string `placeholder:"NAME" complete:"words:all" help:"Tell what decides about bundles of this name; '' for those without one."`
	Name   string  `arg:"" optional:"" complete:"name" help:"Tell what decides about this name."`
}

// Help is the longer text of `dist trust show --help`.
func (trustShowCmd) Help() string {
	return `Of the scopes that fit a name the longest decides: the name with its tag or digest, the name, its folders, its host, *.DOMAIN, all names.

Examples:

    $ dist trust show
    $ dist trust show registry.example/team/app:v1
    $ dist trust show --bundle site-b/weekly`
}

// Run prints the policy.
func (c *trustShowCmd) Run(s *session) error {
	if c.Bundle != nil && c.Name != "" {
		return usagef("give a name or --bundle")
	}
	return s.trusting(c.policyFlag, func(dist *client.Client) (client.TrustPolicy, error) {
		if c.Bundle != nil {
			return dist.ShowBundleTrust(everyName(*c.Bundle))
		}
		return dist.ShowTrust(c.Name)
	})
}

// trusting does something to the policy, and prints what it says then.
func (s *session) trusting(f policyFlag, do func(*client.Client) (client.TrustPolicy, error)) error {
	s.under(f)
	dist, err := s.local()
	if err != nil {
		return err
	}
	p, err := do(dist)
	if err != nil {
		return err
	}
	j := newPolicyJSON(p)
	return s.object(j, j.print)
}

// trustAddCmd is `dist trust add`.
type trustAddCmd struct {
	policyFlag
	scopeFlags
	SignedIdentity identityRule `placeholder:"RULE" help:"Which name in a signature is good, see verify --help."`
	Key            string       `arg:"" complete:"key" help:"The key: ${key}."`
}

// scopeFlags say what of the policy is meant.
type scopeFlags struct {
	Scope  string `xor:"scope" placeholder:"SCOPE" complete:"words:all|repository" help:"Names of images: HOST, HOST/PATH, HOST/PATH:TAG, *.DOMAIN, or all for every name."`
	Bundle string `xor:"scope" placeholder:"NAME" complete:"words:all" help:"Bundles (dist export) of this name, or of those that it begins before a slash; all for every bundle."`
}

// scope is what was asked for, nil for neither.
func (f scopeFlags) scope() *client.TrustScope {
	switch {
	case f.Scope != "":
		return &client.TrustScope{Scope: everyName(f.Scope)}
	case f.Bundle != "":
		return &client.TrustScope{Bundles: true, Scope: everyName(f.Bundle)}
	}
	return nil
}

// Help is the longer text of `dist trust add --help`.
func (trustAddCmd) Help() string {
	return `From then on pull, fetch, copy into the store and pushes to serve refuse what the key does not vouch for under that scope. A second key with the same rule is one more that may vouch. The file is made if there is none; it holds the key itself, and other programs read it, too (containers-policy.json).

With --bundle the key vouches for bundles as a whole: dist import then takes none of that name without its signature, which says who has put the bundle together. What the policy asks of each image in it is asked all the same. Once one bundle is spoken of, all others need what --bundle all says, or else what the default says.

Mirrors: images are signed under the name of their origin. --signed-identity remapIdentity=mirror.example/origin=registry.example says so.

Examples:

    $ dist trust add release --scope registry.example/team
    $ dist trust add vendor.pub --scope quay.io/vendor --signed-identity matchRepository
    $ dist trust add cosign.pub --scope registry.example --signed-identity unbound
    $ dist trust add courier.pub --bundle all
    $ dist trust default reject`
}

// Run adds the key.
func (c *trustAddCmd) Run(s *session) error {
	scope := c.scope()
	if scope == nil {
		return usagef("say what the key vouches for: --scope or --bundle")
	}
	return s.trusting(c.policyFlag, func(dist *client.Client) (client.TrustPolicy, error) {
		return dist.AddTrust(s.ctx, c.Key, *scope, c.SignedIdentity.IdentityRule)
	})
}

// everyName turns the word for all names into their scope.
func everyName(scope string) string {
	if scope == "all" {
		return ""
	}
	return scope
}

// trustRemoveCmd is `dist trust remove`.
type trustRemoveCmd struct {
	policyFlag
	scopeFlags
	Key string `arg:"" optional:"" complete:"key" help:"The key: a label, an id or its first 8 digits, or a file."`
}

// Help is the longer text of `dist trust remove --help`.
func (trustRemoveCmd) Help() string {
	return `--scope or --bundle say where the key is taken out; without them it goes out of all scopes. Without a key the scope itself goes.

A scope that loses its last key rejects everything: nothing becomes acceptable by that. A scope that is removed leaves its names to the next longer one, or to the default; with the last scope of bundles the policy stops speaking of them, and nothing is asked.

Examples:

    $ dist trust remove vendor
    $ dist trust remove --scope quay.io/vendor
    $ dist trust remove courier --bundle site-b`
}

// Run removes a key or a scope.
func (c *trustRemoveCmd) Run(s *session) error {
	scope := c.scope()
	if c.Key == "" && scope == nil {
		return usagef("neither a key nor --scope or --bundle is given")
	}
	return s.trusting(c.policyFlag, func(dist *client.Client) (client.TrustPolicy, error) {
		return dist.RemoveTrust(s.ctx, c.Key, scope)
	})
}

// trustDefaultCmd is `dist trust default`.
type trustDefaultCmd struct {
	policyFlag
	Rule string `arg:"" enum:"accept,reject" help:"accept or reject what no scope speaks of."`
}

// Help is the longer text of `dist trust default --help`.
func (trustDefaultCmd) Help() string {
	return `With reject only names that a scope speaks of can be pulled.

Examples:

    $ dist trust default reject`
}

// Run sets the default.
func (c *trustDefaultCmd) Run(s *session) error {
	t := sign.AcceptAnything
	if c.Rule == "reject" {
		t = sign.RejectAll
	}
	return s.trusting(c.policyFlag, func(dist *client.Client) (client.TrustPolicy, error) { return dist.SetTrustDefault(s.ctx, t) })
}

// trustLintCmd is `dist trust lint`.
type trustLintCmd struct{ policyFlag }

// Help is the longer text of `dist trust lint --help`.
func (trustLintCmd) Help() string {
	return `A policy that cannot be understood whole is no policy: every verb refuses it (exit 2). This tells besides what Podman, Skopeo and others would not accept in it, and what its author should know. What is told is no error.

Examples:

    $ dist trust lint
    $ dist trust lint --policy /etc/containers/policy.json`
}

type lintJSON struct {
	Policy string   `json:"policy"`
	Lint   []string `json:"lint"`
}

// Run prints what there is to say.
func (c *trustLintCmd) Run(s *session) error {
	s.under(c.policyFlag)
	dist, err := s.local()
	if err != nil {
		return err
	}
	p, err := dist.ShowTrust("")
	if err != nil {
		return err
	}
	return s.object(lintJSON{p.Path, append([]string{}, p.Lint...)}, func(w io.Writer) error {
		for _, text := range p.Lint {
			if _, err := fmt.Fprintln(w, printable(text)); err != nil {
				return err
			}
		}
		return nil
	})
}
