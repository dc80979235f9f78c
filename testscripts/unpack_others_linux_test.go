package testscripts

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"dist.example/layer"
	"dist.example/oci"
)

// unpackers are who make what dist unpack makes.
var unpackers = map[string]peer{
	"umoci": {"umoci", "apt-get install umoci, on Debian"},
	"tar":   {"tar", "GNU's tar is part of Debian"},
}

// meetUnpackers skips t, saying why, where what is made could not have all that layers
// tell of.
func meetUnpackers(t *testing.T) {
	t.Helper()
	if !withPeers() {
		t.Skip("meets other programs; use make e2e")
	}
	if os.Geteuid() != 0 {
		t.Skip("left out: only root gives owners away and makes devices")
	}
	dir := t.TempDir()
	if err := syscall.Mknod(filepath.Join(dir, "null"), syscall.S_IFCHR|0o600, 1<<8|3); err != nil {
		t.Skip("left out: no devices can be made here:", err)
	}
	file := filepath.Join(dir, "file")
	writeFile(t, file, nil)
	for key, value := range map[string]string{"user.dist": "x", "trusted.dist": "x", "security.capability": netRaw} {
		if err := syscall.Setxattr(file, key, []byte(value), 0); err != nil {
			t.Skipf("left out: %s cannot be set in %s: %v", key, dir, err)
		}
	}
	mask := syscall.Umask(0o022) // what no entry is for is made by it
	t.Cleanup(func() { syscall.Umask(mask) })
	t.Setenv("DIST_STORE", filepath.Join(dir, "store"))
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	t.Setenv("DIST_KEY", "")
	t.Setenv("DIST_POLICY", "")
}

// meets skips t where a program is missing or, for a reason, takes no part.
func meets(t *testing.T, p peer, reason string) {
	t.Helper()
	if reason != "" {
		t.Skipf("left out: %s: %s", p.program, reason)
	}
	if _, err := exec.LookPath(p.program); err != nil {
		t.Skipf("left out: %s is missing: %s", p.program, p.from)
	}
}

// runs runs a program to its end and returns what it printed.
func runs(t *testing.T, program string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, &stderr)
	}
	return strings.TrimSpace(stdout.String())
}

// knownOfUmoci is what umoci always does in another way.
func knownOfUmoci(d treeDiff) string {
	if d.isFolderTime() && d.dist == "0.000000000" && isNow(d.other) {
		return "folders that no layer has an entry for, and those that such a one is made in: umoci leaves them the time of their making, dist gives them 1970"
	}
	return ""
}

// knownOfTar is what tar always does in another way.
func knownOfTar(d treeDiff) string {
	if d.isFolderTime() && isNow(d.other) {
		return "folders in which a layer has something that has no entry for them: tar leaves them the time of that, dist what the last entry says"
	}
	return ""
}

// distUnpacks has dist bring an image of an OCI layout into its store, and unpack it.
func distUnpacks(t *testing.T, layout, tag string) fsTree {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "rootfs")
	runs(t, "dist", "import", "-q", layout)
	runs(t, "dist", "unpack", "-q", tagged(t, layout, tag).Digest.String(), dir)
	return readFSTree(t, dir)
}

// tagged is the image of an OCI layout that has a tag.
func tagged(t *testing.T, layout, tag string) oci.Descriptor {
	t.Helper()
	var index oci.Index
	p, err := os.ReadFile(filepath.Join(layout, "index.json"))
	must(t, errors.Join(err, json.Unmarshal(p, &index)))
	for _, desc := range index.Manifests {
		if desc.Annotations[oci.AnnotationRefName] == tag {
			return desc
		}
	}
	t.Fatalf("%s has no %s", layout, tag)
	return oci.Descriptor{}
}

// umociUnpacks has umoci unpack an image of an OCI layout.
func umociUnpacks(t *testing.T, layout, tag string) fsTree {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "rootfs")
	runs(t, "umoci", "raw", "unpack", "--image", layout+":"+tag, dir)
	return readFSTree(t, dir)
}

// tarUnpacks has tar extract layers, the lowest first. tar knows no whiteouts and
// replaces less than image-spec asks for: see makeWay.
func tarUnpacks(t *testing.T, layers ...string) fsTree {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		if err := makeWay(l, dir); err != nil {
			t.Fatal(err)
		}
		runs(t, "tar", "-x", "-f", l, "-C", dir, "--numeric-owner", "-p", "--xattrs", "--xattrs-include=*", "--exclude=.wh.*")
	}
	return readFSTree(t, dir)
}

// writeLayout writes an image of tars as an OCI layout, its layers compressed in turns.
func writeLayout(t *testing.T, dir, tag string, tars [][]byte, turns ...layer.Compression) {
	t.Helper()
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		t.Fatal(err)
	}
	blob := func(mediaType string, p []byte) oci.Descriptor {
		d := oci.DigestBytes(p)
		writeFile(t, filepath.Join(blobs, d.Encoded()), p)
		return oci.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(p))}
	}
	config := oci.Image{Platform: oci.Platform{OS: "linux", Architecture: oci.DefaultPlatform().Architecture}}
	config.RootFS.Type = "layers"
	m := oci.Manifest{MediaType: oci.MediaTypeManifest}
	m.SchemaVersion = 2
	for i, p := range tars {
		c := turns[i%len(turns)]
		var b bytes.Buffer
		w, err := layer.NewCompressor(&b, c)
		if err == nil {
			_, err = w.Write(p)
		}
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		m.Layers = append(m.Layers, blob(c.MediaType(), b.Bytes()))
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, oci.DigestBytes(p))
	}
	m.Config = blob(oci.MediaTypeImageConfig, toJSON(t, config))
	desc := blob(oci.MediaTypeManifest, toJSON(t, m))
	desc.Annotations = map[string]string{oci.AnnotationRefName: tag}
	index := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{desc}}
	index.SchemaVersion = 2
	writeFile(t, filepath.Join(dir, "index.json"), toJSON(t, index))
	writeFile(t, filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`))
}

func writeFile(t *testing.T, name string, p []byte) {
	t.Helper()
	if err := os.WriteFile(name, p, 0o644); err != nil {
		t.Fatal(err)
	}
}

func toJSON(t *testing.T, v any) []byte {
	t.Helper()
	p, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
