package blobstore

import (
	"archive/tar"
	"errors"
	"path"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

// FuzzParseMember: what is taken from a backup has one place in a store, which follows
// from what it is and not from how it is written, and leads nowhere else.
func FuzzParseMember(f *testing.F) {
	hex := strings.Repeat("0f", 32)
	for _, name := range []string{
		"store.json", "./catalog.db", "packs/1.pack", "blobs/sha256/" + hex, "blobs/sha512/" + hex + hex, "blobs/", "./", "", "lock",
		"packs/01.pack", "packs/-1.pack", "packs/../1.pack", "../a", "/etc/passwd", "blobs/sha256/../../../a", "blobs/sha256/" + strings.ToUpper(hex),
		"blobs/sha256:" + hex, "blobs/sha256/" + hex + "/", "packs\\1.pack", "ingest/x", "packs/9223372036854775808.pack",
	} {
		for _, kind := range []byte{tar.TypeReg, tar.TypeDir, tar.TypeSymlink} {
			f.Add(name, kind, "")
		}
	}
	f.Add("store.json", byte(tar.TypeReg), "GNU.sparse.size")
	f.Fuzz(func(t *testing.T, name string, kind byte, record string) {
		m, err := parseMember(&tar.Header{Name: name, Typeflag: kind, PAXRecords: map[string]string{record: "1"}})
		if err != nil {
			if !errors.Is(err, content.ErrInvalid) {
				t.Errorf("%q: %v", name, err)
			}
			return
		}
		if strings.HasPrefix(record, "GNU.sparse.") && m.kind != memberFolder {
			t.Errorf("%q is taken, and sparse", name)
		}
		if (m.kind == memberFolder) != (kind == tar.TypeDir) {
			t.Errorf("%q of type %q is %+v", name, kind, m)
		}
		if place := placeOfMember(m); place != "" && strings.TrimPrefix(name, "./") != place {
			t.Errorf("%q goes to %s", name, place)
		}
		if strings.Contains(name, "..") || path.IsAbs(name) {
			t.Errorf("%q is taken", name)
		}
	})
}

// placeOfMember is the one name of a member, "" for what has several.
func placeOfMember(m member) string {
	switch m.kind {
	case memberHead:
		return headFile
	case memberCatalog:
		return catalogFile
	case memberPack:
		return packName(m.pack)
	case memberBlob:
		if _, err := oci.ParseDigest(m.digest.String()); err != nil {
			return "no digest"
		}
		return blobName(m.digest)
	}
	return ""
}
