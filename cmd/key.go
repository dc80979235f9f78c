package cmd

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
)

// keyCmd is `dist key`.
type keyCmd struct {
	Generate keyGenerateCmd `cmd:"" help:"Make a key."`
	List     keyListCmd     `cmd:"" help:"List the keys of the user, and those that the store knows."`
	Show     keyShowCmd     `cmd:"" help:"Tell about a key, or print its public part."`
	Import   keyImportCmd   `cmd:"" help:"Take in a key from a file: cosign's, openssl's, a public one."`
	Remove   keyRemoveCmd   `cmd:"" help:"Remove a key, or revoke it."`
}

// limitsOfKey bound when a key counts.
type limitsOfKey struct {
	NotBefore day `placeholder:"DATE" help:"Signatures that the store saw before this date do not count: 2006-01-02, or with a time as RFC 3339 has it. The store keeps it."`
	NotAfter  day `placeholder:"DATE" help:"Signatures that the store sees after this date do not count."`
}

// day is a date or an instant; the zero value is none.
type day struct{ time.Time }

// UnmarshalText takes 2006-01-02 and RFC 3339.
func (d *day) UnmarshalText(text []byte) (err error) {
	if d.Time = (time.Time{}); len(text) == 0 {
		return nil
	}
	if d.Time, err = time.Parse(time.DateOnly, string(text)); err == nil {
		return nil
	}
	if d.Time, err = time.Parse(time.RFC3339, string(text)); err != nil {
		return usagef("%q is no date such as 2027-12-31 or 2027-12-31T12:00:00Z", text)
	}
	return nil
}

type keyJSON struct {
	Label     string     `json:"label"`
	ID        oci.Digest `json:"id"`
	Algorithm string     `json:"algorithm"`
	Private   string     `json:"private"` // path of the private key, "" for none
	NotBefore time.Time  `json:"notBefore,omitzero"`
	NotAfter  time.Time  `json:"notAfter,omitzero"`
	RevokedAt time.Time  `json:"revokedAt,omitzero"`
	Public    string     `json:"public"` // in PEM
}

func newKeyJSON(k client.Key) keyJSON {
	j := keyJSON{Label: k.Label, Private: k.Private, NotBefore: k.NotBefore, NotAfter: k.NotAfter, RevokedAt: k.RevokedAt}
	if k.Public != nil {
		j.ID, j.Algorithm, j.Public = k.Public.ID(), k.Public.Algorithm(), string(k.Public.PEM())
	}
	return j
}

// state is when the key counts, for people.
func (j keyJSON) state() string {
	switch {
	case !j.RevokedAt.IsZero():
		return "revoked " + j.RevokedAt.Format(time.DateOnly)
	case !j.NotBefore.IsZero() && !j.NotAfter.IsZero():
		return j.NotBefore.Format(time.DateOnly) + " to " + j.NotAfter.Format(time.DateOnly)
	case !j.NotBefore.IsZero():
		return "from " + j.NotBefore.Format(time.DateOnly)
	case !j.NotAfter.IsZero():
		return "until " + j.NotAfter.Format(time.DateOnly)
	}
	return "always"
}

func (j keyJSON) print(w io.Writer) error {
	private := j.Private
	if private == "" {
		private = "not here"
	}
	return printFields(w, [][2]string{
		{"label", dash(j.Label)},
		{"id", string(j.ID)},
		{"algorithm", j.Algorithm},
		{"private key", private},
		{"counts", j.state()},
	})
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// keyGenerateCmd is `dist key generate`.
type keyGenerateCmd struct {
	quietFlag
	Type         string `short:"t" enum:"ecdsa-p256,ed25519,rsa-3072" default:"ecdsa-p256" placeholder:"KIND" help:"Kind of key: ecdsa-p256 (the default), ed25519 or rsa-3072."`
	NoPassphrase bool   `help:"Leave the private key in the clear. Only the permissions of its file protect it."`
	passphraseFlags
	limitsOfKey
	Label string `arg:"" optional:"" default:"default" complete:"none" help:"What the key is called. The key called default signs when no other is named."`
}

// Help is the longer text of `dist key generate --help`.
func (keyGenerateCmd) Help() string {
	return `The key is in two files, LABEL.key and LABEL.pub, in dist/keys in the user's configuration folder. The private one is encrypted with a passphrase, in the form that cosign reads, and only its owner can read the file.

The passphrase is asked for on the terminal, or read from --passphrase-file, --passphrase-fd, DIST_PASSWORD or COSIGN_PASSWORD. An empty one is a passphrase, too.

Examples:

    $ dist key generate
    $ dist key generate --type ed25519 release
    $ DIST_PASSWORD= dist key generate ci
    $ dist sign -k release docker://registry.example/team/app:v1
    $ cosign verify --key ~/.config/dist/keys/release.pub --insecure-ignore-tlog registry.example/team/app:v1`
}

// Run makes the key and prints its id.
func (c *keyGenerateCmd) Run(s *session) error {
	var passphrase []byte
	if !c.NoPassphrase {
		var err error
		if passphrase, err = c.fresh(s); err != nil {
			return about(c.Label, err)
		}
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	k, err := dist.GenerateKey(s.ctx, client.KeyOptions{
		Label: c.Label, Kind: c.Type, Passphrase: passphrase, NotBefore: c.NotBefore.Time, NotAfter: c.NotAfter.Time,
	})
	if err != nil {
		return about(c.Label, err)
	}
	return s.identified(c.quietFlag, k.Public.ID().String(), newKeyJSON(k))
}

// keyListCmd is `dist key list`.
type keyListCmd struct{ quietFlag }

// Help is the longer text of `dist key list --help`.
func (keyListCmd) Help() string {
	return `Those of the user are in dist/keys in the configuration folder. The store knows keys that have limits or were revoked.

Examples:

    $ dist key list
    $ dist key list -q`
}

// Run lists the keys.
func (c *keyListCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	keys, err := dist.Keys(s.ctx)
	if err != nil {
		return err
	}
	return printList(s.stdout, s.format(), c.Quiet, listing[client.Key]{
		key:     "keys",
		columns: columns("LABEL", "ID", "ALGORITHM", "PRIVATE", "COUNTS"),
		row: func(k client.Key) []string {
			j := newKeyJSON(k)
			private := "no"
			if j.Private != "" {
				private = "yes"
			}
			return []string{dash(j.Label), oci.ShortDigest(j.ID), j.Algorithm, private, j.state()}
		},
		id:     func(k client.Key) string { return k.Public.ID().String() },
		object: func(k client.Key) any { return newKeyJSON(k) },
	}, each(keys))
}

// keyShowCmd is `dist key show`.
type keyShowCmd struct {
	Public bool   `help:"Print the public key alone, in PEM."`
	Key    string `arg:"" complete:"key" help:"The key: ${key}."`
}

// Help is the longer text of `dist key show --help`.
func (keyShowCmd) Help() string {
	return `Examples:

    $ dist key show default
    $ dist key show --public release >release.pub`
}

// Run prints what is known of the key.
func (c *keyShowCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	k, err := dist.FindKey(s.ctx, c.Key)
	if err != nil {
		return err
	}
	if k.Public == nil {
		return about(c.Key, content.WithHint(fmt.Errorf("%w: the private key is encrypted, and there is no public one beside it", content.ErrNotFound), "`dist key import %s` takes it in", c.Key))
	}
	if c.Public {
		_, err := s.stdout.Write(k.Public.PEM())
		return err
	}
	j := newKeyJSON(k)
	return s.object(j, j.print)
}

// keyImportCmd is `dist key import`.
type keyImportCmd struct {
	quietFlag
	Label string `placeholder:"LABEL" complete:"none" help:"What the key is to be called. Without it, what its file is called."`
	passphraseFlags
	limitsOfKey
	File string `arg:"" complete:"file" help:"File with the key, in PEM."`
}

// Help is the longer text of `dist key import --help`.
func (keyImportCmd) Help() string {
	return `A public key can be named by its label then, in verify --key and trust add. A private key is opened once, to see that it can be, and its file is kept as it is: cosign's, PKCS#8 (also encrypted), PKCS#1 or SEC 1.

Examples:

    $ dist key import --label vendor vendor.pub
    $ dist key import --label ci --not-after 2027-12-31 ci.pub
    $ dist key import cosign.key`
}

// Run takes in the key and prints its id.
func (c *keyImportCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	label := c.Label
	if label == "" {
		label = stem(c.File)
	}
	k, err := dist.ImportKey(s.ctx, c.File, c.opening(s), client.KeyOptions{Label: label, NotBefore: c.NotBefore.Time, NotAfter: c.NotAfter.Time})
	if err != nil {
		return about(c.File, err)
	}
	return s.identified(c.quietFlag, k.Public.ID().String(), newKeyJSON(k))
}

// keyRemoveCmd is `dist key remove`.
type keyRemoveCmd struct {
	quietFlag
	Revoke bool   `help:"Let no signature of this key count in the store any more, whatever a policy says."`
	Yes    bool   `short:"y" help:"Remove a private key without asking: nothing brings it back."`
	Key    string `arg:"" complete:"key" help:"The key: a label, an id or its first 8 digits; with --revoke also a file."`
}

// Help is the longer text of `dist key remove --help`.
func (keyRemoveCmd) Help() string {
	return `The files of the key go. What it has signed stays signed, and counts where a policy names the key; with --revoke the store remembers that it does not.

Examples:

    $ dist key remove vendor
    $ dist key remove --revoke --yes ci`
}

// Run removes the key and prints its id.
func (c *keyRemoveCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	k, err := dist.FindKey(s.ctx, c.Key)
	if err != nil {
		return err
	}
	if k.Private != "" && k.Label != "" && !c.Yes {
		err := s.confirm(fmt.Sprintf("Remove the private key %s? Nothing brings it back.", printable(c.Key)))
		if err != nil {
			return about(c.Key, err)
		}
	}
	if k, err = dist.RemoveKey(s.ctx, c.Key, c.Revoke); err != nil {
		return err
	}
	return s.identified(c.quietFlag, k.Public.ID().String(), newKeyJSON(k))
}

// stem is the name of a file without its folder and its ending.
func stem(path string) string {
	base := filepath.Base(path)
	return strings.TrimSuffix(base, filepath.Ext(base))
}
