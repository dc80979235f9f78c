package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"dist.example/oci"
	"dist.example/sign"
)

// TestTwoClonesMakeTheSameBytes releases the commit that is checked out, for this
// system, in two clones, the second time without what the first has compiled. Then
// it looks at what came out as its receivers would.
func TestTwoClonesMakeTheSameBytes(t *testing.T) {
	if os.Getenv("DIST_E2E") == "" {
		t.Skip("builds everything twice; use make e2e")
	}
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config")) // no key of this user's
	one, other := filepath.Join(dir, "one"), filepath.Join(dir, "another", "place")
	if _, err := output(t.Context(), ".", nil, "git", "clone", "-q", filepath.Join("..", ".."), one); err != nil {
		t.Skipf("this is no checkout: %v", err)
	}
	if _, err := output(t.Context(), ".", nil, "git", "clone", "-q", one, other); err != nil {
		t.Fatal(err)
	}
	first := releaseIn(t, one, "")
	second := releaseIn(t, other, "", "GOCACHE="+filepath.Join(dir, "cache"))
	names := sameFiles(t, first, second)
	if len(names) < 4 {
		t.Fatalf("only %q", names)
	}

	program := filepath.Join(dir, system{os: runtime.GOOS}.program())
	unpackProgram(t, first.out, program)
	t.Run("sums", func(t *testing.T) { checkSums(t, first.out) })
	t.Run("list", func(t *testing.T) { checkList(t, first, program) })
	t.Run("package", func(t *testing.T) { checkPackage(t, first) })
	t.Run("signed", func(t *testing.T) { checkSigned(t, first, program) })
}

// releaseIn releases what a clone has checked out.
func releaseIn(t *testing.T, clone, key string, env ...string) *release {
	t.Helper()
	r := &release{
		root: clone, out: filepath.Join(clone, "bin", "release"), key: key, env: env, log: t.Output(),
		systems: []system{{runtime.GOOS, runtime.GOARCH}},
	}
	if err := r.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// sameFiles compares two releases and returns the names of their files.
func sameFiles(t *testing.T, a, b *release) []string {
	t.Helper()
	var names []string
	for _, r := range []*release{a, b} {
		found, err := os.ReadDir(r.out)
		if err != nil {
			t.Fatal(err)
		}
		names = names[:0]
		for _, e := range found {
			names = append(names, e.Name())
		}
	}
	for _, name := range names {
		one, err := os.ReadFile(filepath.Join(a.out, name))
		two, err2 := os.ReadFile(filepath.Join(b.out, name))
		if err != nil || err2 != nil || !bytes.Equal(one, two) {
			t.Errorf("%s differs (%v, %v)", name, err, err2)
		}
	}
	return names
}

// unpackProgram takes the program out of its archive.
func unpackProgram(t *testing.T, dir, to string) {
	t.Helper()
	archives, err := filepath.Glob(filepath.Join(dir, "dist_*_"+runtime.GOOS+"_"+runtime.GOARCH+".tar.gz"))
	if err != nil || len(archives) != 1 {
		t.Skipf("archives of this system that are tars: %q, %v", archives, err)
	}
	data, err := os.ReadFile(archives[0])
	if err != nil {
		t.Fatal(err)
	}
	for h, content := range entries(t, data) {
		if filepath.Base(h.Name) == filepath.Base(to) {
			if err := os.WriteFile(to, content, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// checkSums does what sha256sum -c does, and misses no file but those that came later.
func checkSums(t *testing.T, dir string) {
	sums, err := os.ReadFile(filepath.Join(dir, sumsName))
	if err != nil {
		t.Fatal(err)
	}
	summed := map[string]bool{}
	for line := range strings.Lines(string(sums)) {
		sum, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || fmt.Sprintf("%x", sha256.Sum256(data)) != sum {
			t.Errorf("%s has another sum (%v)", name, err)
		}
		summed[name] = true
	}
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range found {
		if !summed[e.Name()] && !strings.HasPrefix(e.Name(), sumsName) && !strings.HasSuffix(e.Name(), ".oci.tar") {
			t.Errorf("%s has no sum", e.Name())
		}
	}
}

// checkList compares the list of modules with what go version -m reads in the program.
func checkList(t *testing.T, r *release, program string) {
	data, err := os.ReadFile(filepath.Join(r.out, r.billName()))
	if err != nil {
		t.Fatal(err)
	}
	var doc spdx
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, p := range doc.Packages {
		listed[p.Name+" "+p.Version] = p.Source
	}
	said, err := output(t.Context(), ".", nil, "go", "version", "-m", program)
	if err != nil {
		t.Fatal(err)
	}
	modules := 0
	for line := range strings.Lines(said) {
		words := strings.Fields(line)
		if len(words) != 4 || words[0] != "dep" {
			continue
		}
		modules++
		if source := listed[words[1]+" "+words[2]]; !strings.HasSuffix(source, words[3]) {
			t.Errorf("%s %s: listed with %q", words[1], words[2], source)
		}
	}
	if modules == 0 || len(doc.Packages) != modules+2 { // the program and the standard library
		t.Errorf("%d packages for %d modules", len(doc.Packages), modules)
	}
}

// checkPackage lets dpkg-deb read the package, where there is one.
func checkPackage(t *testing.T, r *release) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil || runtime.GOOS != "linux" {
		t.Skip("no dpkg-deb here")
	}
	deb, tree := filepath.Join(r.out, "dist_"+r.version+"_"+runtime.GOARCH+".deb"), t.TempDir()
	if _, err := output(t.Context(), ".", nil, "dpkg-deb", "-x", deb, tree); err != nil {
		t.Fatal(err)
	}
	said, err := output(t.Context(), ".", nil, filepath.Join(tree, "usr", "bin", "dist"), "version")
	if err != nil || !strings.HasPrefix(said, "dist "+r.version+" ") {
		t.Errorf("the program in the package says %q (%v)", said, err)
	}
}

// checkSigned signs the release, verifies it with the public key alone, and sees that
// nothing vouches for it any more once a byte has changed.
func checkSigned(t *testing.T, r *release, program string) {
	t.Setenv("DIST_PASSWORD", "sesame")
	home := t.TempDir()
	dist := func(args ...string) (string, error) {
		return output(context.WithoutCancel(t.Context()), home, []string{"XDG_CONFIG_HOME=" + home, "DIST_STORE=" + filepath.Join(home, "store")}, program, args...)
	}
	if _, err := dist("key", "generate", "release"); err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(home, "dist", "keys")
	public := filepath.Join(keys, "release.pub")
	signed := releaseIn(t, r.root, filepath.Join(keys, "release.key"))
	checkSums(t, signed.out)

	sums := filepath.Join(signed.out, sumsName)
	if err := vouchedFor(t, sums, public); err != nil {
		t.Error(err)
	}
	bundle := filepath.Join(signed.out, "dist_"+r.version+".oci.tar")
	name := repository + ":" + r.version
	for _, args := range [][]string{
		{"verify", "--key", public, "bundle:" + bundle},
		{"verify", "--key", public, "bundle:" + bundle + ":" + name},
		{"import", "-q", bundle},
		{"get", "--files", "out", name},
	} {
		if said, err := dist(args...); err != nil {
			t.Errorf("%s: %v", said, err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(home, "out", sumsName)); err != nil || !bytes.Equal(got, contentOf(t, sums)) {
		t.Errorf("what was imported has other sums (%v)", err)
	}

	flip(t, sums)
	if err := vouchedFor(t, sums, public); err == nil {
		t.Error("sums that were altered are vouched for")
	}
	// In what it carries: between the members of a tar are bytes that nobody reads.
	flipAfter(t, bundle, contentOf(t, filepath.Join(signed.out, r.billName()))[:256])
	if said, err := dist("verify", "--key", public, "bundle:"+bundle); err == nil {
		t.Errorf("a bundle that was altered verifies: %s", said)
	}
}

// vouchedFor verifies the signature of the sums, with cosign, too, where it is.
func vouchedFor(t *testing.T, sums, public string) error {
	t.Helper()
	data := contentOf(t, sums+".sigstore.json")
	key, err := sign.ReadPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	about := contentOf(t, sums)
	c := sign.Parse(oci.Describe("", data).Digest, oci.Describe(sign.MediaTypeBundle, data), data)
	if !sign.Verifies(c, key) || c.Claim.Digests["sha256"] != fmt.Sprintf("%x", sha256.Sum256(about)) {
		return fmt.Errorf("the sums are not vouched for: %+v", c.Claim)
	}
	if _, err := exec.LookPath("cosign"); err != nil {
		t.Log("cosign is absent")
		return nil
	}
	_, err = output(t.Context(), ".", nil, "cosign", "verify-blob-attestation", "--key", public, "--bundle", sums+".sigstore.json",
		"--type", oci.PredicateSignature, "--insecure-ignore-tlog", sums)
	return err
}

func contentOf(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// flip inverts a byte in the middle of a file.
func flip(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, size/2); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0xff
	if _, err := f.WriteAt(b, size/2); err != nil {
		t.Fatal(err)
	}
}

// flipAfter flips a bit of the last byte of a file that is there as these bytes.
func flipAfter(t *testing.T, name string, of []byte) {
	t.Helper()
	data := contentOf(t, name)
	at := bytes.Index(data, of)
	if at < 0 {
		t.Fatalf("%s does not carry it", name)
	}
	data[at+len(of)-1] ^= 1
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
