package client_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/client"
	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

// file writes data to a fresh file of that name.
func file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, data, 0o644))
	return path
}

// refuses expects words to be refused, with an error that contains part, and no
// name to move.
func refuses(t *testing.T, c *client.Client, o client.PackOptions, class error, part string, words ...string) {
	t.Helper()
	before := names(t, c)
	_, err := c.Pack(t.Context(), "refused:v1", words, o)
	if !isClass(err, class) || !strings.Contains(err.Error()+"; "+content.Hint(err), part) {
		t.Errorf("%q: %v (%s), want %v that says %q", words, err, content.Hint(err), class, part)
	}
	if after := names(t, c); !slices.Equal(before, after) {
		t.Errorf("%q: names %q became %q", words, before, after)
	}
}

func TestPackWithAConfiguration(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	plain, zipped := tarball(t)
	tar, gz := file(t, "a.tar", plain), file(t, "b.tgz", zipped)
	id := oci.DigestBytes(plain).String()
	whole := `{"os":"linux","architecture":"arm64","rootfs":{"type":"layers","diff_ids":["` + id + `","` + id + `"]},"x":1}`

	given := packAs(t, c, "mine", client.PackOptions{}, tar, "config="+file(t, "c.json", []byte(whole)), "layer="+gz)
	if got := get(t, c, given.Config.Digest.String()); string(got) != whole {
		t.Errorf("the configuration became %s", got)
	}
	if len(given.Layers) != 2 || given.Layers[1].DiffID.String() != id {
		t.Errorf("layers %+v", given.Layers)
	}
	put(t, c, []byte(whole))
	byID := packAs(t, c, "mine", client.PackOptions{}, "config="+oci.DigestBytes([]byte(whole)).String(), tar, gz)
	if byID.Descriptor.Digest != given.Descriptor.Digest {
		t.Error("a configuration by id and by path make two images")
	}

	part := packAs(t, c, "part", client.PackOptions{}, "config="+file(t, "c.json", []byte(`{"config":{"User":"u"},"x":1.50}`)), tar)
	var img oci.Image
	data := get(t, c, part.Config.Digest.String())
	must(t, json.Unmarshal(data, &img))
	if img.OS != "linux" || img.Architecture != "amd64" || img.Config.User != "u" || len(img.RootFS.DiffIDs) != 1 || len(img.History) != 1 ||
		!bytes.Contains(data, []byte(`"x": 1.50`)) {
		t.Errorf("%s", data)
	}

	alone := packAs(t, c, "alone", client.PackOptions{}, "config="+file(t, "c.json", []byte(`{}`)))
	if m := missing(t, c, alone.Descriptor.Digest); len(m) != 0 || len(alone.Layers) != 0 {
		t.Errorf("without layers: %+v, missing %v", alone, m)
	}
}

func TestPackRefusesAWrongConfiguration(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	plain, _ := tarball(t)
	tar := file(t, "a.tar", plain)
	config := func(text string) string { return "config=" + file(t, "c.json", []byte(text)) }
	other := oci.DigestBytes([]byte("other")).String()
	text, err := c.Put(t.Context(), client.PutOptions{Type: "text"}, strings.NewReader("text"))
	must(t, err)
	for _, tc := range []struct {
		config, says string
	}{
		{config(`{"rootfs":{"type":"layers","diff_ids":["` + other + `"]}}`), "diff_id 1 is " + other},
		{config(`[]`), "not a JSON object"},
		{config(`{}`) + ":text", "text/plain"},
		{"config=" + text.Digest.String(), "text/plain"},
		{"config=" + t.TempDir(), "folder"},
		{"entrypoint=" + tar, "keys are layer and config"},
	} {
		refuses(t, c, client.PackOptions{}, content.ErrInvalid, tc.says, tc.config, tar)
	}
	refuses(t, c, client.PackOptions{}, content.ErrInvalid, "already", config("{}"), config("{}"))
	refuses(t, c, client.PackOptions{}, content.ErrInvalid, "nothing")
	refuses(t, c, client.PackOptions{ArtifactType: "a/b"}, content.ErrInvalid, "artifact", tar)
	refuses(t, c, client.PackOptions{Kind: "poem"}, content.ErrInvalid, "poem", tar)
}

func TestATypeOfALayerMustFitItsBytes(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	plain, zipped := tarball(t)
	tar, gz, dir := file(t, "a.tar", plain), file(t, "b.tgz", zipped), folder(t, time.Unix(1e9, 0))
	p := packAs(t, c, "typed", client.PackOptions{Compression: new(layer.Zstd)},
		tar+":layer", gz+":layer", gz+":docker-layer", dir+":layer+gzip", dir+":layer", tar+":"+oci.MediaTypeLayer)
	var types []string
	for _, l := range p.Layers {
		types = append(types, l.Descriptor.MediaType)
	}
	want := []string{
		oci.MediaTypeLayer, oci.MediaTypeLayerGzip, oci.MediaTypeDockerLayer, oci.MediaTypeLayerGzip, oci.MediaTypeLayerZstd, oci.MediaTypeLayer,
	}
	if !slices.Equal(types, want) {
		t.Errorf("types %q, want %q", types, want)
	}
	for _, word := range []string{tar + ":layer+gzip", gz + ":" + oci.MediaTypeLayer, gz + ":layer+zstd", tar + ":text", dir + ":application/vnd.in-toto+json"} {
		refuses(t, c, client.PackOptions{}, content.ErrInvalid, "", word)
	}
	refuses(t, c, client.PackOptions{}, content.ErrInvalid, `type "poem"`, tar+":poem")
}

func TestAWordThatIsTwoThingsIsRefused(t *testing.T) {
	c := newClient(t)
	t.Chdir(t.TempDir())
	plain, _ := tarball(t)
	must(t, os.WriteFile("both", plain, 0o644))
	must(t, os.WriteFile("a=b", plain, 0o644))
	must(t, os.WriteFile("c:layer", plain, 0o644))
	must(t, os.WriteFile("c", []byte("never read"), 0o644))
	packAs(t, c, "both", client.PackOptions{}, "./both")
	refuses(t, c, client.PackOptions{}, content.ErrInvalid, "write ./both", "both")
	refuses(t, c, client.PackOptions{}, content.ErrInvalid, "write ./both", "layer=both")
	refuses(t, c, client.PackOptions{}, content.ErrInvalid, "write ./a=b", "a=b")
	refuses(t, c, client.PackOptions{Kind: client.PackArtifact}, content.ErrNotFound, "write ./a=b", "a=b")
	for _, word := range []string{"./a=b", "layer=./a=b", "c:layer"} {
		if p := packAs(t, c, "file", client.PackOptions{}, word); p.Layers[0].Descriptor.Digest != oci.DigestBytes(plain) {
			t.Errorf("%s is another file", word)
		}
	}
	// Hex digits that begin several objects, and a file of that name.
	a, b, prefix := ambiguous(t)
	put(t, c, a)
	put(t, c, b)
	must(t, os.WriteFile(prefix, plain, 0o644))
	refuses(t, c, client.PackOptions{}, content.ErrInvalid, "write ./"+prefix, prefix)
	packAs(t, c, "file", client.PackOptions{}, "./"+prefix)
}
