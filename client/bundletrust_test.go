package client

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/bundle"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

// courier is a store under a policy, and the key that signs bundles of its scope.
type courier struct {
	c   *Client
	s   *blobstore.Store
	key *sign.Signer
}

func newCourier(t *testing.T, scope string) courier {
	t.Helper()
	dir := t.TempDir()
	key, err := sign.Generate(sign.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	p, err := sign.NewPolicy().With(sign.TransportBundle, scope, key.Public(), sign.IdentityRule{})
	if err != nil {
		t.Fatal(err)
	}
	data, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	policy := filepath.Join(dir, "policy.json")
	if err := os.WriteFile(policy, data, 0o600); err != nil {
		t.Fatal(err)
	}
	c := New(Options{Store: filepath.Join(dir, "store"), Trust: TrustOptions{Policy: policy}})
	t.Cleanup(func() { _ = c.Close() })
	s, err := c.Init(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return courier{c, s, key}
}

// carries is a signed bundle with some index.json.
func (co courier) carries(t *testing.T, index string, serial int64, change ...func(*bundle.Contents)) bundleClaim {
	t.Helper()
	d := oci.DigestBytes([]byte(index))
	b := bundleClaim{index: d, contents: bundle.Contents{Name: "site/north", Serial: serial, Documents: map[string]oci.Digest{"index.json": d}}}
	for _, f := range change {
		f(&b.contents)
	}
	data, err := b.contents.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if b.signed, err = sign.SignContents(t.Context(), co.key, d, data); err != nil {
		t.Fatal(err)
	}
	return b
}

// takes admits a bundle, and keeps what is to be remembered of it.
func (co courier) takes(t *testing.T, b bundleClaim) error {
	t.Helper()
	out, err := co.c.admitBundle(t.Context(), co.s, b)
	if err != nil {
		return err
	}
	if len(out.vouchers) != 1 || out.vouchers[0] != co.key.Public().ID() {
		t.Errorf("%v vouch for it", out.vouchers)
	}
	return co.s.SetTrustMarks(t.Context(), out.marks...)
}

func expectRefused(t *testing.T, what string, err error, reason, hint string) {
	t.Helper()
	if !errors.Is(err, content.ErrUntrusted) || !strings.Contains(err.Error(), reason) || !strings.Contains(content.Hint(err), hint) {
		t.Errorf("%s: %v (%s), want %s (%s)", what, err, content.Hint(err), reason, hint)
	}
}

func TestABundleIsRefusedWithWhatToDoNext(t *testing.T) {
	t.Parallel()
	co, stranger := newCourier(t, "site"), newCourier(t, "")
	unsigned := co.carries(t, "one", 7)
	unsigned.signed = nil
	expectRefused(t, "an unsigned one", co.takes(t, unsigned), "it is not signed (scope site)", "trust show --bundle site/north")
	expectRefused(t, "a stranger's", co.takes(t, stranger.carries(t, "one", 7)), "unknown-key", "trust show --bundle site/north")
	other := co.carries(t, "one", 7)
	other.index = oci.DigestBytes([]byte("two"))
	if err := co.takes(t, other); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("of another index.json: %v", err)
	}
	if err := co.takes(t, co.carries(t, "one", 7)); err != nil {
		t.Error(err)
	}
	nobody := bundleClaim{index: unsigned.index}
	expectRefused(t, "one that says nothing, where all are asked", stranger.takes(t, nobody), "it is not signed", "trust show --bundle ''")
	nameless := co.carries(t, "one", 0, func(c *bundle.Contents) { c.Name = "" })
	if _, err := co.c.admitBundle(t.Context(), co.s, nameless); err != nil {
		t.Errorf("the default accepts anything, and a name is spoken of: %v", err)
	}
}

func TestAnOlderBundleOfTheNameIsRefused(t *testing.T) {
	t.Parallel()
	co := newCourier(t, "site")
	first, second := co.carries(t, "one", 7), co.carries(t, "two", 8)
	for _, b := range []bundleClaim{first, second, second} {
		if err := co.takes(t, b); err != nil {
			t.Fatal(err)
		}
	}
	expectRefused(t, "the older one", co.takes(t, first), "older: its serial is 7, and the key has signed another bundle for this name with 8", "--allow-rollback")
	elsewhere := co.carries(t, "one", 7, func(c *bundle.Contents) { c.Name = "site/south" })
	if err := co.takes(t, elsewhere); err != nil {
		t.Errorf("of another name: %v", err)
	}
	if err := co.takes(t, co.carries(t, "two", 6)); err != nil {
		t.Errorf("of the same content: %v", err)
	}
	first.allowRollback = true
	if err := co.takes(t, first); err != nil {
		t.Errorf("as was asked for: %v", err)
	}
	if err := co.takes(t, co.carries(t, "one", 7)); err != nil {
		t.Errorf("which counts from then on: %v", err)
	}
	// Two imports at once: what was judged before the other was accepted moves nothing.
	third, err := co.c.admitBundle(t.Context(), co.s, co.carries(t, "three", 9))
	if err != nil {
		t.Fatal(err)
	}
	if err := co.takes(t, co.carries(t, "four", 10)); err != nil {
		t.Fatal(err)
	}
	if err := co.s.SetTrustMarks(t.Context(), third.marks...); !errors.Is(err, content.ErrConflict) {
		t.Errorf("an older bundle, judged before the newer one was accepted: %v", err)
	}
}

func TestAClockThatIsSetBackRevivesNoBundle(t *testing.T) {
	t.Parallel()
	co := newCourier(t, "site")
	now := time.Now().UTC().Truncate(time.Second)
	made := func(created, expires time.Duration) func(*bundle.Contents) {
		return func(c *bundle.Contents) { c.Created, c.Expires = now.Add(created), now.Add(expires) }
	}
	if err := co.takes(t, co.carries(t, "one", 7, made(-time.Hour, time.Hour))); err != nil {
		t.Fatal(err)
	}
	over := co.carries(t, "two", 8, made(-2*time.Hour, -time.Hour))
	expectRefused(t, "one whose time is over", co.takes(t, over), "it was good until", "--allow-rollback")
	over.allowRollback = true
	if err := co.takes(t, over); err != nil {
		t.Errorf("as was asked for: %v", err)
	}
	// What a bundle says of when it was made is remembered, up to a day from now.
	if err := co.takes(t, co.carries(t, "four", 10, made(50*365*24*time.Hour, 51*365*24*time.Hour))); err != nil {
		t.Fatal(err)
	}
	if _, err := co.c.admitBundle(t.Context(), co.s, co.carries(t, "five", 11, made(-time.Hour, time.Hour))); err != nil {
		t.Errorf("after one from a far future: %v", err)
	}
	if err := co.takes(t, co.carries(t, "six", 212, made(2*time.Hour, 3*time.Hour))); err != nil {
		t.Fatal(err)
	}
	expectRefused(t, "a newer one that ends before that", co.takes(t, co.carries(t, "seven", 213, made(-time.Hour, time.Hour))), "it was good until", "ask for a newer one")
	// Nor does it add up, however many there are.
	for serial := range int64(40) {
		if err := co.takes(t, co.carries(t, "chain", 300+serial, made(time.Duration(serial)*23*time.Hour, 1000*time.Hour))); err != nil {
			t.Fatal(err)
		}
	}
	if err := co.takes(t, co.carries(t, "after them", 400, made(0, 30*24*time.Hour))); err != nil {
		t.Errorf("after a chain of bundles from the future: %v", err)
	}
}

func TestTheLimitsOfACouriersKeyCount(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC()
	for what, row := range map[string]struct {
		key    blobstore.TrustKey
		reason string
	}{
		"revoked": {blobstore.TrustKey{RevokedAt: now}, "key-revoked"},
		"over":    {blobstore.TrustKey{NotAfter: now.Add(-time.Minute)}, "key-expired"},
		"not yet": {blobstore.TrustKey{NotBefore: now.Add(time.Hour)}, "key-expired"},
	} {
		co := newCourier(t, "")
		k := co.key.Public()
		row.key.ID, row.key.Algorithm, row.key.DER, row.key.AddedAt = k.ID(), k.Algorithm(), k.DER(), now
		if err := co.s.PutTrustKey(t.Context(), row.key); err != nil {
			t.Fatal(err)
		}
		expectRefused(t, what, co.takes(t, co.carries(t, "one", 7)), row.reason, "trust show --bundle site/north")
	}
}

func TestABundleWithoutANameIsNotSigned(t *testing.T) {
	t.Parallel()
	co := newCourier(t, "")
	if _, err := co.c.signBundle(t.Context(), SignOptions{}, bundle.Contents{}, oci.DigestBytes(nil)); !errors.Is(err, content.ErrInvalid) || content.Hint(err) == "" {
		t.Errorf("%v (%s)", err, content.Hint(err))
	}
	if _, err := co.c.signBundle(t.Context(), SignOptions{}, bundle.Contents{Name: "site"}, oci.DigestBytes(nil)); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("without a key: %v", err)
	}
}
