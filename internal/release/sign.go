package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

const (
	// repository is what releases are signed for, each under the tag of its version.
	repository = "dist.example/dist"
	// bundleName is that of every release's bundle, so that receivers tell old from new.
	bundleName  = "dist/release"
	releaseType = "application/vnd.dist.release.v1"
)

// openKey opens the key that signs, if one was named, with the passphrase of
// DIST_PASSWORD.
func (r *release) openKey(ctx context.Context) (err error) {
	if r.key == "" {
		return nil
	}
	if sign.IsPlugin(r.key) {
		r.signer, err = sign.OpenPlugin(ctx, r.key)
		return err
	}
	k, err := sign.OpenKeyring(keyringFolder()).Find(r.key)
	if err != nil {
		return err
	}
	if r.signer, err = k.Open(ctx, passphrase); err != nil {
		return err
	}
	// dist gets the same key, and runs in another folder.
	r.key, err = filepath.Abs(k.Private)
	return err
}

// keyringFolder is where dist has its keys; "" where nothing tells.
func keyringFolder() string {
	config := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(config) {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		config = filepath.Join(home, ".config")
	}
	return filepath.Join(config, "dist", "keys")
}

func passphrase(context.Context) ([]byte, string, error) {
	for _, name := range []string{"DIST_PASSWORD", "COSIGN_PASSWORD"} {
		if v, ok := os.LookupEnv(name); ok {
			return []byte(v), name, nil
		}
	}
	return nil, "", content.WithHint(fmt.Errorf("the key needs a %w", sign.ErrPassphrase), "give it in DIST_PASSWORD")
}

// signSums signs the sums in the form that dist and cosign have for manifests: a
// statement about the digest of the file.
func (r *release) signSums(ctx context.Context) error {
	if r.signer == nil {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(r.work, sumsName))
	if err != nil {
		return err
	}
	signed, _, err := sign.SignBundle(ctx, r.signer, sign.Statement{
		Subject:  sign.NewSubject(oci.Describe("text/plain", data), data),
		Identity: repository + ":" + r.version, Created: time.Now(), Creator: "dist/" + r.version,
	})
	if err != nil {
		return err
	}
	return r.write(sumsName+".sigstore.json", signed)
}

// bundle makes one artifact of all files, with the list of modules about it, and
// writes both into a file that dist imports and verifies.
func (r *release) bundle(ctx context.Context) error {
	files, err := r.names()
	if err != nil {
		return err
	}
	name := repository + ":" + r.version
	pack := []string{
		"pack", "-t", "artifact", "--artifact-type", releaseType,
		"--annotation", "org.opencontainers.image.version=" + r.version,
		"--annotation", "org.opencontainers.image.revision=" + r.commit,
		"--annotation", "org.opencontainers.image.created=" + r.time.Format(time.RFC3339),
	}
	export := []string{"export", "-q", "--oci", "--no-provenance", "-o", "dist_" + r.version + ".oci.tar"}
	if r.signer != nil {
		pack = append(pack, "--require-key", "-k", r.key)
		export = append(export, "-k", r.key, "--name", bundleName)
	}
	for _, args := range [][]string{
		append(append(pack, name), files...),
		{"attach", "-q", "--type", "spdx", name, r.billName() + ":json"},
		append(export, name),
	} {
		if _, err := r.dist(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}
