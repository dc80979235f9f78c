package client

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// FilesOptions direct GetFiles.
type FilesOptions struct {
	// Force writes over files and links that are there. A folder is never replaced.
	Force bool
}

// WrittenFile is one file that GetFiles wrote.
type WrittenFile struct {
	Path string // below the folder, with slashes
	Size int64  // in bytes, 0 for a link
}

// GetFiles writes the files of an artifact below the folder dir, which is made if it
// is not there: each part that has a title under that title, folders that were
// packed as such (by Pack or by oras) entry by entry. Parts without a title stay
// where they are. It returns what was written, in the order of the manifest.
//
// All of it is first written to a folder of its own in dir and verified; a name leads
// to a file only once everything is whole. No title and no entry of a folder leads
// out of dir, and nothing is written through a link that lies there.
//
// Errors: ErrInvalid for what is no artifact or has no titles, and for titles and
// entries that are no paths below a folder or stand twice; ErrNotFound when some of
// it is not here, ErrCorrupt when it is damaged; ErrConflict when something is in the
// way; ErrUnsupported for devices and the like. After an error nothing is written,
// unless the error came of moving files into place: then some may be there.
func (c *Client) GetFiles(ctx context.Context, id, dir string, o FilesOptions) ([]WrittenFile, error) {
	s, desc, err := c.find(ctx, id)
	if err != nil {
		return nil, err
	}
	m, err := readArtifact(ctx, s, desc)
	if err != nil {
		return nil, err
	}
	parts, err := titledParts(m)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fsys.Classify(err)
	}
	w := &filesWriter{c: c, s: s, o: o, dir: dir, made: map[string]bool{}}
	if w.root, err = os.OpenRoot(dir); err != nil {
		return nil, fsys.Classify(err)
	}
	defer w.root.Close()
	return w.write(ctx, parts)
}

// readArtifact reads the manifest of an artifact.
func readArtifact(ctx context.Context, s *blobstore.Store, desc oci.Descriptor) (oci.Manifest, error) {
	refuse := func(what, hint string) (oci.Manifest, error) {
		return oci.Manifest{}, content.WithHint(fmt.Errorf("%w: it is %s, and an artifact has files", content.ErrInvalid, what), "%s", hint)
	}
	switch {
	case oci.IsIndex(desc.MediaType):
		return refuse("an index", "give the digest of an artifact in it; `dist inspect` lists them")
	case !oci.IsManifest(desc.MediaType):
		return refuse(desc.MediaType, "`dist get -o FILE` writes one object")
	}
	data, err := content.ReadAll(ctx, s, desc, oci.MaxManifestSize)
	if err != nil {
		return oci.Manifest{}, err
	}
	m, err := oci.ParseManifest(desc.MediaType, data)
	if err == nil && oci.IsImageConfig(m.Config.MediaType) {
		return refuse("an image", "`dist inspect` lists its layers, and `dist get` gives each of them by its digest")
	}
	return m, err
}

// titledPart is a layer that comes back as a file or a folder.
type titledPart struct {
	desc   oci.Descriptor
	name   string     // its title, a clean path with slashes
	folder bool       // a tar whose entries stand below the title
	plain  oci.Digest // of that tar, "" where nobody said
}

// titledParts are the layers that have titles, no two the same.
func titledParts(m oci.Manifest) ([]titledPart, error) {
	var parts []titledPart
	taken := map[string]bool{}
	for _, l := range m.Layers {
		title, ok := l.Annotations[oci.AnnotationTitle]
		if !ok {
			continue
		}
		p := titledPart{desc: l, folder: l.Annotations[annotationUnpack] == "true"}
		var err error
		if p.name, err = parseFilePath(title); err == nil && p.name == "." && !p.folder {
			err = fmt.Errorf("%w: a file has a name", content.ErrInvalid)
		}
		if err == nil && taken[p.name] {
			err = fmt.Errorf("%w: two parts have it", content.ErrInvalid)
		}
		if err != nil {
			return nil, fmt.Errorf("title %q of %s: %w", title, l.Digest, err)
		}
		if sum := l.Annotations[annotationDigest]; p.folder && sum != "" {
			if p.plain, err = oci.ParseDigest(sum); err != nil {
				return nil, fmt.Errorf("annotation %s of %s: %w", annotationDigest, l.Digest, err)
			}
		}
		taken[p.name] = true
		parts = append(parts, p)
	}
	if len(parts) == 0 {
		return nil, content.WithHint(fmt.Errorf("%w: nothing in it has a title to be written under", content.ErrInvalid),
			"`dist inspect` lists what is in it, and `dist get` gives each of them by its digest")
	}
	return parts, nil
}

// parseFilePath checks a path of somebody else's, with slashes, and cleans it. It may
// be "." but leads nowhere above, not even to come back, has no other separator than
// a slash, and is one that this system has.
func parseFilePath(name string) (string, error) {
	clean := path.Clean(name)
	switch {
	case name == "":
		return "", fmt.Errorf("%w: it is empty", content.ErrInvalid)
	case strings.ContainsAny(name, "\\\x00"):
		return "", fmt.Errorf("%w: it has a backslash or a NUL byte", content.ErrInvalid)
	case path.IsAbs(name) || hasDotDot(name) || !filepath.IsLocal(filepath.FromSlash(clean)):
		return "", fmt.Errorf("%w: no path below a folder", content.ErrInvalid)
	}
	return clean, nil
}

func hasDotDot(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return true
		}
	}
	return false
}

// filesWriter is one run of GetFiles.
type filesWriter struct {
	c       *Client
	s       *blobstore.Store
	o       FilesOptions
	dir     string
	root    *os.Root // dir
	stage   *os.Root // the folder in dir where everything is written first
	staging string   // its name
	entries []staged
	made    map[string]bool // folders that stage has
}

// staged is what stage has, in the order in which it came.
type staged struct {
	name string
	kind stagedKind
	size int64
}

type stagedKind int

const (
	stagedFile stagedKind = iota
	stagedFolder
	stagedLink
)

func (w *filesWriter) write(ctx context.Context, parts []titledPart) (written []WrittenFile, err error) {
	var r [6]byte
	rand.Read(r[:])
	w.staging = ".dist-" + hex.EncodeToString(r[:])
	if err := w.root.Mkdir(w.staging, 0o777); err != nil {
		return nil, w.located(err)
	}
	defer func() { err = errors.Join(err, w.located(w.root.RemoveAll(w.staging))) }()
	if w.stage, err = w.root.OpenRoot(w.staging); err != nil {
		return nil, w.located(err)
	}
	defer w.stage.Close()
	for _, p := range parts {
		add := w.addFile
		if p.folder {
			add = w.addFolder
		}
		if err := add(ctx, p); err != nil {
			if errors.Is(err, content.ErrNotFound) {
				err = content.WithHint(err, "`dist pull` fetches what is missing")
			}
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	w.c.hook("files.staged")
	return w.place(ctx)
}

// located gives an error of a file below dir its class. The path in it is one below
// the folder, which the message then names.
func (w *filesWriter) located(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("in %s: %w", w.dir, fsys.Classify(err))
}
