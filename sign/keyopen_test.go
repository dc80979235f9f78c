package sign_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"dist.example/content"
	"dist.example/sign"
)

func TestAPrivateKeyBesideAnotherPublicOneIsNotUsed(t *testing.T) {
	t.Parallel()
	ring, dir := keyring(t)
	writeFile(t, filepath.Join(dir, sign.ECDSA+".pub"), key(t, sign.Ed25519).Public().PEM())
	k, err := ring.Find(sign.ECDSA)
	must(t, err)
	if _, err := k.Open(t.Context(), nil); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("%v", err)
	}
}

func TestAPrivateKeyThatOthersMayReadIsNotUsed(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("its files have other permissions")
	}
	ring, dir := keyring(t)
	k, err := ring.Find(sign.ECDSA)
	must(t, err)
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o644} {
		must(t, os.Chmod(k.Private, mode))
		if _, err := k.Open(t.Context(), nil); !errors.Is(err, content.ErrDenied) {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
	// Of a file elsewhere the user knows best; some systems hand secrets over so.
	elsewhere, err := ring.Find(filepath.Join(dir, sign.ECDSA+".key"))
	must(t, err)
	if _, err := elsewhere.Open(t.Context(), nil); err != nil {
		t.Error(err)
	}
	// One with a passphrase is of no use to them.
	closed, err := ring.Add("closed", publicKey(t, "p256.pub"), testKey(t, "pbes2-p256.key"))
	must(t, err)
	must(t, os.Chmod(closed.Private, 0o644))
	if _, err := closed.Open(t.Context(), knows("test")); err != nil {
		t.Error(err)
	}
	must(t, os.Chmod(k.Private, 0o400))
	if _, err := k.Open(t.Context(), nil); err != nil {
		t.Error(err)
	}
}
