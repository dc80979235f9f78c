package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/sign"
)

// DefaultKey is the label of the key that signs when nobody names one.
const DefaultKey = "default"

// Key is a key of the user's keyring, or one that the store knows, or both.
type Key struct {
	sign.Key
	// Limits and when it was revoked are the store's.
	NotBefore, NotAfter, RevokedAt time.Time
}

func (c *Client) keyring() sign.Keyring { return sign.OpenKeyring(c.opts.Trust.Keys) }

// Keys lists the keys of the user and those that the store knows, by label, those
// without one last by id. No store is no error.
func (c *Client) Keys(ctx context.Context) ([]Key, error) {
	owned, err := c.keyring().All()
	if err != nil {
		return nil, err
	}
	known, err := c.knownKeys(ctx)
	if err != nil {
		return nil, err
	}
	var keys []Key
	for _, k := range owned {
		keys = append(keys, withLimits(k, known))
	}
	for _, row := range known {
		if slices.ContainsFunc(keys, func(k Key) bool { return k.Public.ID() == row.ID }) {
			continue
		}
		k, err := fromRow(row)
		if err != nil {
			return nil, err
		}
		keys = append(keys, withLimits(k, known))
	}
	return keys, nil
}

func (c *Client) knownKeys(ctx context.Context) ([]blobstore.TrustKey, error) {
	s, err := c.storeIfAny(ctx)
	if err != nil || s == nil {
		return nil, err
	}
	return s.TrustKeys(ctx)
}

func withLimits(k sign.Key, known []blobstore.TrustKey) Key {
	out := Key{Key: k}
	for _, row := range known {
		if k.Public != nil && row.ID == k.Public.ID() {
			out.NotBefore, out.NotAfter, out.RevokedAt = row.NotBefore, row.NotAfter, row.RevokedAt
		}
	}
	return out
}

func fromRow(row blobstore.TrustKey) (sign.Key, error) {
	public, err := sign.ParsePublicDER(row.DER)
	if err == nil && public.ID() != row.ID {
		err = content.ErrCorrupt
	}
	if err != nil {
		return sign.Key{}, fmt.Errorf("key %s in the catalog: %w", row.ID, err)
	}
	return sign.Key{Label: row.Label, Public: public}, nil
}

// FindKey finds a key by its label, its id or the beginning of that, or by the path of
// a file with it; also one that only the store knows. A word PLUGIN://KEY is asked for
// from the program that keeps it. Errors: ErrNotFound; ErrInvalid for what may be several
// keys; those of sign.Keyring.Find.
func (c *Client) FindKey(ctx context.Context, word string) (Key, error) {
	if sign.IsPlugin(word) {
		s, err := sign.OpenPlugin(ctx, word)
		if err != nil {
			return Key{}, err
		}
		return Key{Key: sign.Key{Public: s.Public()}}, nil
	}
	known, kerr := c.knownKeys(ctx)
	if kerr != nil {
		return Key{}, kerr
	}
	k, err := c.keyring().Find(word)
	if err == nil {
		return withLimits(k, known), nil
	}
	if !errors.Is(err, content.ErrNotFound) {
		return Key{}, err
	}
	var found []Key
	for _, row := range known {
		if word != row.Label && !sign.IsKeyPrefix(row.ID, word) {
			continue
		}
		k, err := fromRow(row)
		if err != nil {
			return Key{}, err
		}
		found = append(found, withLimits(k, known))
	}
	switch len(found) {
	case 0:
		if content.Hint(err) == "" {
			err = content.WithHint(err, "`dist key list` lists the keys there are; `dist key import FILE` takes in another's public key")
		}
		return Key{}, err
	case 1:
		return found[0], nil
	}
	return Key{}, fmt.Errorf("key %q: %w: it may be %s or %s", word, content.ErrInvalid, found[0].Public.ID(), found[1].Public.ID())
}

// publicKey is the public part of a key that has to vouch.
func (c *Client) publicKey(ctx context.Context, word string) (*sign.PublicKey, error) {
	k, err := c.FindKey(ctx, word)
	if err != nil {
		return nil, err
	}
	if k.Public == nil {
		return nil, content.WithHint(fmt.Errorf("key %s: %w: the private key is encrypted, and there is no public one beside it", word, content.ErrNotFound),
			"give the file with the public key")
	}
	return k.Public, nil
}

// KeyOptions say what becomes of a key that is made or taken in.
type KeyOptions struct {
	Label string // "" means DefaultKey to GenerateKey
	Kind  string // of one that is made, "" means sign.ECDSA
	// Passphrase encrypts the private part, nil leaves it in the clear.
	Passphrase []byte
	// Limits, which the store keeps; zero for none.
	NotBefore, NotAfter time.Time
}

// check refuses limits between which no time is: such a key would never count.
func (o KeyOptions) check() error {
	if o.NotBefore.IsZero() || o.NotAfter.IsZero() || o.NotAfter.After(o.NotBefore) {
		return nil
	}
	return fmt.Errorf("limits: %w: the key would never count, it ends %s and begins %s",
		content.ErrInvalid, o.NotAfter.Format(time.RFC3339), o.NotBefore.Format(time.RFC3339))
}

// GenerateKey makes a key in the user's keyring. Errors: ErrExists for a label that is
// taken; ErrInvalid, also for limits that leave no time in which the key counts.
func (c *Client) GenerateKey(ctx context.Context, o KeyOptions) (Key, error) {
	if err := o.check(); err != nil {
		return Key{}, err
	}
	if o.Label == "" {
		o.Label = DefaultKey
	}
	if o.Kind == "" {
		o.Kind = sign.ECDSA
	}
	// Before the work of making one.
	if k, err := c.keyring().Find(o.Label); err == nil && k.Label == o.Label {
		return Key{}, content.WithHint(fmt.Errorf("key %s: %w", o.Label, content.ErrExists), "give it another label, or remove that key first")
	}
	s, err := sign.Generate(o.Kind)
	if err != nil {
		return Key{}, err
	}
	private, err := s.PEM(o.Passphrase)
	if err != nil {
		return Key{}, err
	}
	return c.addKey(ctx, s.Public(), private, o)
}

func (c *Client) addKey(ctx context.Context, public *sign.PublicKey, private []byte, o KeyOptions) (Key, error) {
	k, err := c.keyring().Add(o.Label, public, private)
	if err != nil {
		return Key{}, err
	}
	out := Key{Key: k, NotBefore: o.NotBefore, NotAfter: o.NotAfter}
	if o.NotBefore.IsZero() && o.NotAfter.IsZero() {
		return out, nil
	}
	if err := c.limit(ctx, &out); err != nil {
		// Without its limits it would count for ever.
		return Key{}, errors.Join(err, c.keyring().Remove(o.Label))
	}
	return out, nil
}

// limit keeps when a key counts in the store.
func (c *Client) limit(ctx context.Context, k *Key) error {
	s, err := c.Init(ctx)
	if err != nil {
		return err
	}
	known, err := s.TrustKeys(ctx)
	if err != nil {
		return err
	}
	k.RevokedAt = withLimits(k.Key, known).RevokedAt // which a limit does not undo
	return s.PutTrustKey(ctx, rowOf(*k, k.RevokedAt))
}

func rowOf(k Key, revoked time.Time) blobstore.TrustKey {
	return blobstore.TrustKey{
		ID: k.Public.ID(), Algorithm: k.Public.Algorithm(), DER: k.Public.DER(), Label: k.Label,
		NotBefore: k.NotBefore, NotAfter: k.NotAfter, RevokedAt: revoked, AddedAt: time.Now().UTC(),
	}
}

// ImportKey takes the key in a file into the user's keyring: a public or a private one,
// in PEM. The private file is kept as it is, encrypted or not; open gives its
// passphrase, which tells that it can be opened, and what its public part is. Errors:
// those of reading and opening it; ErrExists and ErrInvalid as GenerateKey's.
func (c *Client) ImportKey(ctx context.Context, path string, open sign.Passphrase, o KeyOptions) (Key, error) {
	if err := o.check(); err != nil {
		return Key{}, err
	}
	data, err := fsys.ReadCapped(path, sign.MaxKeyFile)
	if err != nil {
		return Key{}, fmt.Errorf("key %s: %w", path, fsys.Classify(err))
	}
	if !strings.Contains(string(data), "PRIVATE KEY-----") {
		public, err := sign.ParsePublicKey(data)
		if err != nil {
			return Key{}, fmt.Errorf("%s: %w", path, err)
		}
		return c.addKey(ctx, public, nil, o)
	}
	s, err := sign.ParsePrivateKey(ctx, data, open)
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", path, err)
	}
	return c.addKey(ctx, s.Public(), data, o)
}

// RemoveKey takes a key out of the user's keyring. With revoke the store remembers that
// its signatures count no more, whatever a policy says; such a key may be elsewhere.
// Errors: ErrNotFound.
func (c *Client) RemoveKey(ctx context.Context, word string, revoke bool) (Key, error) {
	k, err := c.FindKey(ctx, word)
	if err != nil {
		return Key{}, err
	}
	if k.Public == nil {
		return Key{}, fmt.Errorf("key %s: %w: its public part is not here", word, content.ErrNotFound)
	}
	if revoke {
		s, err := c.Init(ctx)
		if err != nil {
			return Key{}, err
		}
		if err := s.PutTrustKey(ctx, rowOf(k, time.Now().UTC())); err != nil {
			return Key{}, err
		}
	}
	if k.Label != "" {
		err = c.removeOwn(k)
	}
	if errors.Is(err, content.ErrNotFound) && revoke || k.Label == "" && revoke {
		return k, nil
	}
	if k.Label == "" {
		return k, content.WithHint(fmt.Errorf("key %s: %w in the keyring", word, content.ErrNotFound), "files elsewhere are removed with rm")
	}
	return k, err
}

// removeOwn takes a key out of the keyring, where its label may be another's by now: the
// store remembers what a key was called.
func (c *Client) removeOwn(k Key) error {
	own, err := c.keyring().Find(k.Label)
	if err != nil {
		return err
	}
	if own.Label != k.Label || own.Public.ID() != k.Public.ID() {
		return fmt.Errorf("key %s: %w in the keyring: what is called %s there is another", k.Public.ID(), content.ErrNotFound, k.Label)
	}
	return c.keyring().Remove(k.Label)
}

// signer opens the key that signs: the one that is named, else DefaultKey where there
// is one. nil is none.
func (c *Client) signer(ctx context.Context, word string, pass sign.Passphrase) (*sign.Signer, error) {
	if sign.IsPlugin(word) {
		s, err := sign.OpenPlugin(ctx, word)
		if err == nil {
			err = c.unrevoked(ctx, s.Public())
		}
		return s, err
	}
	named := word != ""
	if !named {
		word = DefaultKey
	}
	k, err := c.keyring().Find(word)
	if err != nil {
		if !named && errors.Is(err, content.ErrNotFound) {
			return nil, nil
		}
		return nil, toMake(word, err)
	}
	if !named && k.Label == "" {
		return nil, nil // a file that happens to be called so
	}
	warnOfReaders(k.Private, c.opts.Warn)
	s, err := k.Open(ctx, pass)
	if err == nil {
		err = c.unrevoked(ctx, s.Public())
	}
	return s, err
}

// toMake adds to err, which says that a key to sign with is not there, how to make it.
func toMake(word string, err error) error {
	if _, lerr := sign.ParseLabel(word); lerr != nil || !errors.Is(err, content.ErrNotFound) || content.Hint(err) != "" {
		return err
	}
	return content.WithHint(err, "`dist key list` lists the keys there are; `dist key generate %s` makes one", word)
}

// unrevoked refuses to sign with a key that the store knows as revoked: nobody here
// would count it.
func (c *Client) unrevoked(ctx context.Context, k *sign.PublicKey) error {
	known, err := c.knownKeys(ctx)
	if err != nil {
		return err
	}
	if limitsOf(known, k.ID()).Revoked {
		return fmt.Errorf("key %s: %w: it is revoked in this store", k.ID(), content.ErrUntrusted)
	}
	return nil
}

// warnOfReaders says that others may read a private key.
func warnOfReaders(path string, warn func(string)) {
	if fi, err := os.Stat(path); err == nil && fi.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		warn(fmt.Sprintf("key %s can be read by others (%s): chmod 600 keeps it yours", path, fi.Mode().Perm()))
	}
}
