package bundle

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

var (
	lowDigest  = oci.Digest("sha256:" + strings.Repeat("1", 64))
	highDigest = oci.Digest("sha256:" + strings.Repeat("2", 64))
)

func someContents() Contents {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return Contents{
		Version: 1, Name: "site/weekly", Serial: 7, Previous: lowDigest, Created: at, Expires: at.AddDate(0, 1, 0), Creator: "dist/1",
		Base:      &Base{Site: "harbour", Store: "s", Receipt: lowDigest, Created: at, Blobs: 3, Size: 9},
		TotalSize: 5, Blobs: []BlobEntry{{lowDigest, 2, oci.MediaTypeManifest}, {highDigest, 3, ""}},
		Documents: map[string]oci.Digest{"index.json": highDigest},
		Referrers: []ReferrerEntry{{Digest: lowDigest, Subject: highDigest, ArtifactType: "x/y"}}, Absent: []oci.Digest{highDigest},
	}
}

func TestContentsComeBackAsTheyWere(t *testing.T) {
	want := someContents()
	data, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseContents(data)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v\nwant %+v", got, err, want)
	}
	if again, err := got.Encode(); err != nil || !bytes.Equal(again, data) {
		t.Errorf("written again they are %s, %v\nand were %s", again, err, data)
	}
	if b, ok := got.Blob(highDigest); !ok || b.Size != 3 {
		t.Errorf("blob %+v, %v", b, ok)
	}
	if _, ok := got.Blob("sha256:" + oci.Digest(strings.Repeat("3", 64))); ok {
		t.Error("found a blob that is not there")
	}
	if plain, err := (Contents{}).Encode(); err != nil || bytes.Contains(plain, []byte("created")) {
		t.Errorf("an empty one is %s, %v", plain, err)
	}
}

func TestContentsThatNobodyWrites(t *testing.T) {
	const good = `{"version":1,"totalSize":0,"blobs":[],"documents":{"index.json":"` + someDigest + `"}}`
	if _, err := ParseContents([]byte(good)); err != nil {
		t.Fatal(err)
	}
	blob := func(d oci.Digest, size string) string { return `{"digest":"` + string(d) + `","size":` + size + `}` }
	for what, c := range map[string]struct {
		data string
		want error
	}{
		"no JSON":              {"x", content.ErrCorrupt},
		"more behind it":       {good + "{}", content.ErrCorrupt},
		"a key twice":          {strings.Replace(good, `"version":1`, `"version":1,"version":1`, 1), content.ErrCorrupt},
		"another version":      {strings.Replace(good, `"version":1`, `"version":2`, 1), content.ErrUnsupported},
		"no index.json":        {strings.Replace(good, "index.json", "other.json", 1), content.ErrCorrupt},
		"a document's digest":  {strings.Replace(good, "sha256:", "sha257:", 1), content.ErrCorrupt},
		"a name":               {strings.Replace(good, `"version":1`, `"version":1,"name":"../x"`, 1), content.ErrCorrupt},
		"a size below nothing": {strings.Replace(good, "[]", "["+blob(lowDigest, "-1")+"]", 1), content.ErrCorrupt},
		"a size beyond all":    {strings.Replace(good, "[]", "["+blob(lowDigest, "9223372036854775807")+"]", 1), content.ErrCorrupt},
		"a blob's digest":      {strings.Replace(good, "[]", "["+blob("sha256:1", "0")+"]", 1), content.ErrCorrupt},
		"blobs out of order":   {strings.Replace(good, "[]", "["+blob(highDigest, "0")+","+blob(lowDigest, "0")+"]", 1), content.ErrCorrupt},
		"a blob twice":         {strings.Replace(good, "[]", "["+blob(lowDigest, "0")+","+blob(lowDigest, "0")+"]", 1), content.ErrCorrupt},
		"another sum":          {strings.Replace(good, "[]", "["+blob(lowDigest, "1")+"]", 1), content.ErrCorrupt},
		"an odd base":          {strings.Replace(good, `"version":1`, `"version":1,"base":{"receipt":"x"}`, 1), content.ErrCorrupt},
		"too much":             {strings.Repeat(" ", MaxContents+1), content.ErrUnsupported},
	} {
		if _, err := ParseContents([]byte(c.data)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	_, err := ParseContents([]byte(strings.Replace(good, "[]", "["+strings.Repeat("{},", 9000)+"{}]", 1)))
	if err == nil || !strings.Contains(err.Error(), "more than anybody writes") {
		t.Errorf("nothing but brackets is read before it is refused: %v", err)
	}
}

func TestNamesOfParts(t *testing.T) {
	name := PartName(lowDigest, 1<<40)
	if d, off, ok := ParsePartName(name); !ok || d != lowDigest || off != 1<<40 {
		t.Errorf("%s is %s, %d, %v", name, d, off, ok)
	}
	for _, bad := range []string{
		"", "dist-parts", name + "x", name[1:], strings.Replace(name, "sha256", "md5", 1), strings.ReplaceAll(name, "0000", "-000"),
		"dist-parts/sha256/" + strings.Repeat("1", 64) + "/99999999999999999999",
	} {
		if _, _, ok := ParsePartName(bad); ok {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestRequestsComeBackAsTheyWere(t *testing.T) {
	want := Request{
		Version: 1, Bundle: lowDigest, Name: "site", Serial: 3, Store: "s",
		Images: []RequestedImage{{"r.example/x:v1", highDigest, oci.MediaTypeManifest}}, Missing: []BlobEntry{{lowDigest, 2, ""}, {highDigest, 3, ""}},
	}
	data, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseRequest(data); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	for what, c := range map[string]struct {
		data string
		want error
	}{
		"no JSON":         {"x", content.ErrInvalid},
		"another version": {strings.Replace(string(data), `"version":1`, `"version":9`, 1), content.ErrUnsupported},
		"a digest":        {strings.Replace(string(data), "sha256:2", "sha256:x", 1), content.ErrInvalid},
		"not in order":    {strings.Replace(string(data), string(highDigest)+`","size":3`, "sha256:"+strings.Repeat("0", 64)+`","size":3`, 1), content.ErrInvalid},
	} {
		if _, err := ParseRequest([]byte(c.data)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
}

func FuzzContents(f *testing.F) {
	data, _ := someContents().Encode()
	f.Add(data)
	f.Add([]byte(`{"version":1,"totalSize":0,"blobs":null,"documents":{"index.json":"` + someDigest + `"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseContents(data)
		if err != nil {
			return
		}
		out, err := c.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if _, err := ParseContents(out); err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, out)
		}
	})
}

func FuzzRequest(f *testing.F) {
	data, _ := Request{Bundle: lowDigest, Missing: []BlobEntry{{highDigest, 3, ""}}}.Encode()
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRequest(data)
		if err != nil {
			return
		}
		out, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseRequest(out); err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, out)
		}
	})
}

func FuzzPartName(f *testing.F) {
	f.Add(PartName(lowDigest, 5))
	f.Fuzz(func(t *testing.T, name string) {
		if d, off, ok := ParsePartName(name); ok && PartName(d, off) != name {
			t.Fatalf("%q is %s from byte %d", name, d, off)
		}
	})
}
