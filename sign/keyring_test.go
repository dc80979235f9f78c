package sign_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"dist.example/content"
	"dist.example/sign"
)

// plain is the private key as a file without a passphrase.
func plain(t testing.TB, s *sign.Signer) []byte {
	t.Helper()
	data, err := s.PEM(nil)
	must(t, err)
	return data
}

// keyring is a keyring that has a key of each kind, under its name.
func keyring(t testing.TB) (ring sign.Keyring, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "keys")
	ring = sign.OpenKeyring(dir)
	for _, kind := range []string{sign.ECDSA, sign.Ed25519, sign.RSA} {
		_, err := ring.Add(kind, key(t, kind).Public(), plain(t, key(t, kind)))
		must(t, err)
	}
	return ring, dir
}

func labels(t testing.TB, ring sign.Keyring) string {
	t.Helper()
	keys, err := ring.All()
	must(t, err)
	var all []string
	for _, k := range keys {
		all = append(all, k.Label)
	}
	return strings.Join(all, " ")
}

func TestAKeyringKeepsKeys(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "keys")
	ring := sign.OpenKeyring(dir)
	if got := labels(t, ring); got != "" {
		t.Errorf("a keyring that is not there has %q", got)
	}
	one, two := key(t, sign.ECDSA), key(t, sign.Ed25519)
	added, err := ring.Add("release", one.Public(), plain(t, one))
	must(t, err)
	if added.Label != "release" || added.Private != filepath.Join(dir, "release.key") || added.Public.ID() != one.Public().ID() {
		t.Errorf("%+v", added)
	}
	_, err = ring.Add("partner", two.Public(), nil)
	must(t, err)
	if got := labels(t, ring); got != "partner release" {
		t.Errorf("it has %q", got)
	}
	for file, mode := range map[string]os.FileMode{"": 0o700, "release.key": 0o600, "release.pub": 0o644, "partner.pub": 0o644} {
		info, err := os.Stat(filepath.Join(dir, file))
		must(t, err)
		if runtime.GOOS != "windows" && info.Mode().Perm() != mode {
			t.Errorf("%q has mode %v, want %v", file, info.Mode().Perm(), mode)
		}
	}
	public, err := os.ReadFile(filepath.Join(dir, "release.pub"))
	must(t, err)
	if !bytes.Equal(public, one.Public().PEM()) {
		t.Errorf("the public file is %s", public)
	}
	partner, err := ring.Find("partner")
	must(t, err)
	if _, err := partner.Open(t.Context(), nil); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("opening a key without a private part: %v", err)
	}
	must(t, ring.Remove("release"))
	must(t, ring.Remove("partner"))
	left, err := os.ReadDir(dir)
	must(t, err)
	if len(left) != 0 || !errors.Is(ring.Remove("release"), content.ErrNotFound) {
		t.Errorf("%v is left, and removing again %v", left, ring.Remove("release"))
	}
}

func TestALabelStaysWithItsKey(t *testing.T) {
	t.Parallel()
	ring, dir := keyring(t)
	before, err := os.ReadFile(filepath.Join(dir, sign.ECDSA+".key"))
	must(t, err)
	for _, private := range [][]byte{nil, plain(t, key(t, sign.Ed25519))} {
		if _, err := ring.Add(sign.ECDSA, key(t, sign.Ed25519).Public(), private); !errors.Is(err, content.ErrExists) {
			t.Errorf("adding another key: %v", err)
		}
	}
	// A public key alone is not joined by the private key of another.
	_, err = ring.Add("partner", key(t, sign.ECDSA).Public(), nil)
	must(t, err)
	if _, err := ring.Add("partner", key(t, sign.Ed25519).Public(), plain(t, key(t, sign.Ed25519))); !errors.Is(err, content.ErrExists) {
		t.Errorf("adding a private key to a public one: %v", err)
	}
	k, err := ring.Find("partner")
	must(t, err)
	after, err := os.ReadFile(filepath.Join(dir, sign.ECDSA+".key"))
	must(t, err)
	if k.Private != "" || !bytes.Equal(before, after) {
		t.Errorf("%+v, and the private key has become %s", k, after)
	}
}

func TestALabelLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	ring, dir := keyring(t)
	outside := filepath.Join(filepath.Dir(dir), "victim")
	for _, suffix := range []string{".key", ".pub"} {
		writeFile(t, outside+suffix, key(t, sign.ECDSA).Public().PEM())
	}
	for _, label := range []string{
		"", ".", "..", ".hidden", "-flag", "../victim", "..\\victim", "a/b", "/etc/passwd", "a b", "a\x00b", "a\nb", "ä", "a:b", "~", "$HOME", "*",
		strings.Repeat("a", 65), outside,
	} {
		if _, err := sign.ParseLabel(label); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("label %q: %v", label, err)
		}
		if _, err := ring.Add(label, key(t, sign.ECDSA).Public(), nil); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("adding %q: %v", label, err)
		}
		if err := ring.Remove(label); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("removing %q: %v", label, err)
		}
	}
	for _, suffix := range []string{".key", ".pub"} {
		if _, err := os.Stat(outside + suffix); err != nil {
			t.Error(err)
		}
	}
	for _, label := range []string{"a", "A-1_2.3", "release.key", "x.pub", strings.Repeat("a", 64)} {
		_, err := ring.Add(label, key(t, sign.ECDSA).Public(), plain(t, key(t, sign.ECDSA)))
		must(t, err)
		k, err := ring.Find(label)
		if err != nil || k.Label != label || k.Private == "" {
			t.Errorf("%q is found as %+v: %v", label, k, err)
		}
	}
}

func TestAKeyIsFoundByWhatNamesIt(t *testing.T) {
	t.Parallel()
	ring, dir := keyring(t)
	id := key(t, sign.Ed25519).Public().ID()
	for _, word := range []string{sign.Ed25519, id.String(), id.Encoded(), id.Encoded()[:8], "sha256:" + id.Encoded()[:12]} {
		if k, err := ring.Find(word); err != nil || k.Label != sign.Ed25519 {
			t.Errorf("%s finds %+v: %v", word, k, err)
		}
	}
	for _, word := range []string{"", "nobody", id.Encoded()[:7], "sha256:", strings.ToUpper(id.Encoded()[:8]), strings.Repeat("0", 64), id.Encoded() + "0", "sha512:" + id.Encoded(), "no/such/file"} {
		if k, err := ring.Find(word); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("%q finds %+v: %v", word, k, err)
		}
	}
	_, err := ring.Add("again", key(t, sign.Ed25519).Public(), nil)
	must(t, err)
	if k, err := ring.Find(id.String()); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("an id of two labels finds %+v: %v", k, err)
	}
	for _, file := range []string{sign.RSA + ".key", sign.RSA + ".pub"} {
		k, err := ring.Find(filepath.Join(dir, file))
		if err != nil || k.Label != "" || k.Public.ID() != key(t, sign.RSA).Public().ID() || (k.Private != "") != strings.HasSuffix(file, ".key") {
			t.Errorf("%s finds %+v: %v", file, k, err)
		}
	}
	for _, bad := range []struct{ name, data string }{
		{"empty", ""}, {"text", "-----BEGIN PRIVATE KEY----- that is none"}, {"huge", strings.Repeat("\n", sign.MaxKeyFile) + string(plain(t, key(t, sign.ECDSA)))},
	} {
		path := filepath.Join(t.TempDir(), bad.name)
		writeFile(t, path, []byte(bad.data))
		if k, err := ring.Find(path); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%s: %+v: %v", bad.name, k, err)
		}
	}
}

func TestAFileThatIsNoKeyIsToldAndCanGo(t *testing.T) {
	t.Parallel()
	ring, dir := keyring(t)
	writeFile(t, filepath.Join(dir, "README"), []byte("not a key"))
	writeFile(t, filepath.Join(dir, ".hidden.pub"), []byte("not a key"))
	writeFile(t, filepath.Join(dir, "orphan.key"), plain(t, key(t, sign.ECDSA)))
	if got, want := labels(t, ring), "ecdsa-p256 ed25519 rsa-3072"; got != want {
		t.Errorf("it has %q", got)
	}
	for _, data := range [][]byte{nil, []byte("not a key"), plain(t, key(t, sign.ECDSA)), bytes.Repeat([]byte("\n"), sign.MaxKeyFile+1)} {
		writeFile(t, filepath.Join(dir, "bad.pub"), data)
		if keys, err := ring.All(); !errors.Is(err, content.ErrInvalid) || !strings.Contains(err.Error(), "bad.pub") {
			t.Errorf("%.20q makes %v: %v", data, keys, err)
		}
	}
	must(t, ring.Remove("bad"))
	_, err := ring.All()
	must(t, err)
}

func TestOneOfManyGetsALabel(t *testing.T) {
	t.Parallel()
	ring := sign.OpenKeyring(filepath.Join(t.TempDir(), "keys"))
	kinds := []string{sign.ECDSA, sign.Ed25519, sign.RSA}
	for round := range 4 {
		label := fmt.Sprintf("label%d", round)
		var won, lost atomic.Int32
		var all sync.WaitGroup
		for i := range 9 {
			s := key(t, kinds[i%3])
			private := plain(t, s)
			all.Go(func() {
				_, err := ring.Add(label, s.Public(), private)
				switch {
				case err == nil:
					won.Add(1)
				case errors.Is(err, content.ErrExists):
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
			all.Go(func() {
				if _, err := ring.All(); err != nil {
					t.Errorf("listing meanwhile: %v", err)
				}
			})
		}
		all.Wait()
		k, err := ring.Find(label)
		must(t, err)
		if _, err = k.Open(t.Context(), nil); err != nil || won.Load() != 1 || lost.Load() != 8 {
			t.Errorf("%d won, %d lost: %v", won.Load(), lost.Load(), err)
		}
		must(t, ring.Remove(label))
	}
}

func TestKeysComeAndGoWhileTheyAreListed(t *testing.T) {
	t.Parallel()
	ring := sign.OpenKeyring(filepath.Join(t.TempDir(), "keys"))
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		defer stop()
		for range 100 {
			if _, err := ring.Add("label", key(t, sign.ECDSA).Public(), nil); err != nil {
				t.Error(err)
			}
			if err := ring.Remove("label"); err != nil {
				t.Error(err)
			}
		}
	})
	for ctx.Err() == nil {
		if _, err := ring.All(); err != nil {
			t.Errorf("listing: %v", err)
			break
		}
	}
	all.Wait()
}
