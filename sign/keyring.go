package sign

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// The files of a key LABEL in a keyring: what is secret, and what is not.
const (
	privateSuffix = ".key"
	publicSuffix  = ".pub"

	privateMode fs.FileMode = 0o600
	publicMode  fs.FileMode = 0o644
)

// minKeyPrefix is the least number of hex digits that may stand for a key.
const minKeyPrefix = 8

// Keyring is a folder of key files, LABEL.key and LABEL.pub, the names that cosign
// gives its own. It need not exist. It is safe for concurrent use, also by several
// processes: files are added and removed whole. A crash while a key is added may leave
// a file .new-*, and LABEL.key without LABEL.pub, which is no key yet and keeps the
// label from being used.
type Keyring struct{ dir string }

// OpenKeyring is the keyring in dir; "" is one without keys, to which none can be
// added.
func OpenKeyring(dir string) Keyring { return Keyring{dir} }

// Key is a key of a keyring, or in files elsewhere.
type Key struct {
	Label   string     // "" for files elsewhere
	Public  *PublicKey // nil for an encrypted private key elsewhere with no public one beside it
	Private string     // path of the private key, "" when there is none
}

// ParseLabel checks what a key is to be called: letters, digits, '.', '_' and '-',
// not beginning with '.' or '-', 64 at most. Errors: ErrInvalid.
func ParseLabel(s string) (string, error) {
	if len(s) > 64 || !oci.IsTag(s) {
		return "", fmt.Errorf("label %q: %w: want 1 to 64 letters, digits, '_', '.', '-', not beginning with '.' or '-'", s, content.ErrInvalid)
	}
	return s, nil
}

// All lists the keys by label. A file that is no key is an error: it would go
// unnoticed otherwise.
func (r Keyring) All() ([]Key, error) {
	entries, err := os.ReadDir(r.dir)
	if r.dir == "" || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("keyring %s: %w", r.dir, fsys.Classify(err))
	}
	var keys []Key
	for _, e := range entries {
		label, ok := strings.CutSuffix(e.Name(), publicSuffix)
		if !ok {
			continue
		}
		if _, err := ParseLabel(label); err != nil {
			continue // not a file of ours
		}
		k, err := r.listed(label)
		if errors.Is(err, errRemoved) {
			continue
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// errRemoved says of a key that it went while it was looked at.
var errRemoved = errors.New("removed meanwhile")

// listed is labelled for a label whose public part was there a moment ago. It may have
// been removed since, and another key may have got its label; a link to nothing is an
// error all the same.
func (r Keyring) listed(label string) (Key, error) {
	const looks = 100
	for look := 1; ; look++ {
		k, err := r.labelled(label)
		info, lerr := os.Lstat(r.path(label, publicSuffix))
		switch {
		case errors.Is(lerr, fs.ErrNotExist):
			return Key{}, errRemoved
		case errors.Is(err, content.ErrNotFound) && lerr == nil && info.Mode().IsRegular() && look < looks:
			// it came back between the two looks
		default:
			return k, err
		}
	}
}

func (r Keyring) path(label, suffix string) string { return filepath.Join(r.dir, label+suffix) }

// labelled is the key with a label. Errors: ErrNotFound.
func (r Keyring) labelled(label string) (Key, error) {
	if r.dir == "" {
		return Key{}, fmt.Errorf("key %s: %w: there is no keyring", label, content.ErrNotFound)
	}
	public, err := ReadPublicKey(r.path(label, publicSuffix))
	if err != nil {
		return Key{}, err
	}
	k := Key{Label: label, Public: public}
	if _, err := os.Stat(r.path(label, privateSuffix)); err == nil {
		k.Private = r.path(label, privateSuffix)
	}
	return k, nil
}

// Find finds a key by its label, its id (or 8 or more of its first hex digits), or the
// path of a file with it. Of a private key's path the file LABEL.pub beside LABEL.key
// is read. Errors: ErrNotFound, with a hint for a private key alone under the label, and
// else without: what to do depends on what the key is for; ErrInvalid for digits that
// several ids begin with.
func (r Keyring) Find(word string) (Key, error) {
	if strings.ContainsRune(word, os.PathSeparator) || strings.ContainsRune(word, '/') {
		return findFile(word)
	}
	if _, err := ParseLabel(word); err == nil {
		k, err := r.labelled(word)
		if err == nil || !errors.Is(err, content.ErrNotFound) {
			return k, err
		}
	}
	keys, err := r.All()
	if err != nil {
		return Key{}, err
	}
	if found := withPrefix(keys, word); len(found) == 1 {
		return found[0], nil
	} else if len(found) > 1 {
		return Key{}, fmt.Errorf("key %q: %w: the ids of %s and %s begin so", word, content.ErrInvalid, found[0].Label, found[1].Label)
	}
	if _, err := os.Stat(word); err == nil {
		return findFile(word)
	}
	if r.isAlone(word) {
		return Key{}, alone(word, content.ErrNotFound)
	}
	return Key{}, fmt.Errorf("key %q: %w: no label, no id and no file", word, content.ErrNotFound)
}

// isAlone says whether the private part of a label is here without the public one.
func (r Keyring) isAlone(label string) bool {
	if _, err := ParseLabel(label); err != nil || r.dir == "" {
		return false
	}
	_, err := os.Lstat(r.path(label, privateSuffix))
	_, perr := os.Lstat(r.path(label, publicSuffix))
	return err == nil && errors.Is(perr, fs.ErrNotExist)
}

// alone is the error of a class for such a label, which is taken and no key.
func alone(label string, class error) error {
	private := label + privateSuffix
	return content.WithHint(fmt.Errorf("key %s: %w: %s is there without %s", label, class, private, label+publicSuffix),
		"move %s elsewhere and `dist key import` it", private)
}

func withPrefix(keys []Key, word string) []Key {
	return slices.DeleteFunc(keys, func(k Key) bool { return !IsKeyPrefix(k.Public.ID(), word) })
}

// IsKeyPrefix says whether a word stands for the key with an id: the id, or 8 or more
// of its first hex digits.
func IsKeyPrefix(id oci.Digest, word string) bool {
	digits := strings.TrimPrefix(word, "sha256:")
	return len(digits) >= minKeyPrefix && strings.HasPrefix(id.Encoded(), digits)
}

// findFile finds a key by the path of its public or its private file.
func findFile(path string) (Key, error) {
	data, err := readFile(path, MaxKeyFile)
	if err != nil {
		return Key{}, fmt.Errorf("key %s: %w", path, err)
	}
	public, err := ParsePublicKey(data)
	if err == nil {
		return Key{Public: public}, nil
	}
	if !strings.Contains(string(data), "PRIVATE KEY-----") {
		return Key{}, fmt.Errorf("%s: %w", path, err)
	}
	k := Key{Private: path}
	if !IsEncrypted(data) {
		s, err := ParsePrivateKey(context.Background(), data, nil)
		if err != nil {
			return Key{}, fmt.Errorf("%s: %w", path, err)
		}
		k.Public = s.public
		return k, nil
	}
	// Without its passphrase only the file beside it tells which key it is.
	if k.Public, err = ReadPublicKey(strings.TrimSuffix(path, privateSuffix) + publicSuffix); errors.Is(err, content.ErrNotFound) {
		return k, nil
	}
	return k, err
}

// Open opens the private key of k for signing. Errors: ErrNotFound when there is none;
// those of ParsePrivateKey; ErrDenied for a file that may not be read, and for one of a
// keyring that has no passphrase and others may read, too; ErrCorrupt when the public
// key is another's.
func (k Key) Open(ctx context.Context, pass Passphrase) (*Signer, error) {
	if k.Private == "" {
		return nil, fmt.Errorf("key %s: %w: only its public part is here", k.name(), content.ErrNotFound)
	}
	data, err := readFile(k.Private, MaxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", k.name(), err)
	}
	if k.Label != "" && !IsEncrypted(data) {
		if err := ownOnly(k.Private); err != nil {
			return nil, fmt.Errorf("key %s: %w", k.name(), err)
		}
	}
	s, err := ParsePrivateKey(ctx, data, pass)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", k.name(), err)
	}
	if k.Public != nil && s.public.ID() != k.Public.ID() {
		return nil, fmt.Errorf("key %s: %w: the public key beside it is another, %s", k.name(), content.ErrCorrupt, k.Public.ID())
	}
	return s, nil
}

// ownOnly refuses a file that other users may read, where systems tell.
func ownOnly(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fsys.Classify(err)
	}
	if runtime.GOOS == "windows" || info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	return content.WithHint(fmt.Errorf("%w: it has no passphrase, and others may read %s", content.ErrDenied, path), "`chmod 600 %s`, if nobody has read it so far", path)
}

func (k Key) name() string {
	switch {
	case k.Label != "":
		return k.Label
	case k.Private != "":
		return k.Private
	}
	return k.Public.ID().String()
}

// Add puts a key under a label that is free: its public part, and its private file
// unless that is nil. Errors: ErrInvalid for the label, ErrExists.
func (r Keyring) Add(label string, public *PublicKey, private []byte) (Key, error) {
	if r.dir == "" {
		return Key{}, fmt.Errorf("key %s: %w: there is no keyring", label, content.ErrNotFound)
	}
	if _, err := ParseLabel(label); err != nil {
		return Key{}, err
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return Key{}, fmt.Errorf("keyring %s: %w", r.dir, fsys.Classify(err))
	}
	k := Key{Label: label, Public: public}
	// The public part goes last: what lists and finds keys goes by it.
	if private != nil {
		k.Private = r.path(label, privateSuffix)
		if err := createFile(k.Private, private, privateMode); err != nil {
			if errors.Is(err, content.ErrExists) && r.isAlone(label) {
				return Key{}, alone(label, content.ErrExists)
			}
			return Key{}, fmt.Errorf("key %s: %w", label, err)
		}
	}
	if err := createFile(r.path(label, publicSuffix), public.PEM(), publicMode); err != nil {
		if private != nil {
			_ = os.Remove(k.Private)
		}
		return Key{}, fmt.Errorf("key %s: %w", label, err)
	}
	return k, nil
}

// createFile writes a file that must not be there, and that nobody sees before it is
// whole. Errors: ErrExists.
func createFile(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fsys.Classify(err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return fsys.Classify(err)
	}
	err = os.Link(f.Name(), path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = moveNew(f.Name(), path)
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s", content.ErrExists, path)
	}
	if err == nil {
		err = fsys.OS().SyncDir(filepath.Dir(path))
	}
	return fsys.Classify(err)
}

// moveNew is for file systems without links: the name is taken, empty for a moment,
// and then the file gets it.
func moveNew(from, path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, privateMode)
	if err != nil {
		return err
	}
	if err = f.Close(); err == nil {
		err = os.Rename(from, path)
	}
	if err != nil {
		_ = os.Remove(path)
	}
	return err
}

// Remove takes a key out, its private part first, whatever its files hold. Errors:
// ErrInvalid for what is no label, ErrNotFound.
func (r Keyring) Remove(label string) error {
	if _, err := ParseLabel(label); err != nil {
		return err
	}
	public := r.path(label, publicSuffix)
	if _, err := os.Lstat(public); err != nil {
		return fmt.Errorf("key %s: %w", label, fsys.Classify(err))
	}
	for _, path := range []string{r.path(label, privateSuffix), public} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("key %s: %w", label, fsys.Classify(err))
		}
	}
	return nil
}
