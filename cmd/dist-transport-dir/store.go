package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// folders is the transport.
type folders struct{}

// folder is one folder, opened to read or to write the image called name.
type folder struct {
	dir  string
	root *os.Root // nil while there is no such folder to be written
	name string   // what stands behind the colon, "" for nothing
}

// image is one entry of names.json.
type image struct {
	Name       string         `json:"name"` // a reference, a tag, or "" for none
	Descriptor oci.Descriptor `json:"descriptor"`
}

const maxNames = 4 << 20

// Source implements content.Transport.
func (folders) Source(_ context.Context, place string) (content.ImageSource, error) {
	dir, name, _ := strings.Cut(place, ":")
	return openFolder(dir, name)
}

// Target implements content.Transport. A folder that is not there is made when there
// is something to put into it: a plan only looks.
func (folders) Target(_ context.Context, place string) (content.ImageTarget, error) {
	dir, name, _ := strings.Cut(place, ":")
	f, err := openFolder(dir, name)
	if errors.Is(err, content.ErrNotFound) {
		return &folder{dir: dir, name: name}, nil
	}
	return f, err
}

// make makes the folder if it is not there.
func (f *folder) make() error {
	if f.root != nil {
		return nil
	}
	if err := os.MkdirAll(f.dir, 0o777); err != nil {
		return fsys.Classify(err)
	}
	made, err := openFolder(f.dir, f.name)
	if err == nil {
		f.root = made.root
	}
	return err
}

func openFolder(dir, name string) (*folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fsys.Classify(err)
	}
	return &folder{dir, root, name}, nil
}

// file is the name of a blob's file.
func file(d oci.Digest) (string, error) {
	if _, err := oci.ParseDigest(d.String()); err != nil {
		return "", err
	}
	return strings.Replace(d.String(), ":", "-", 1), nil
}

// Image implements content.ImageSource.
func (f *folder) Image(context.Context) (oci.Reference, oci.Descriptor, error) {
	images, err := f.images()
	if err != nil {
		return oci.Reference{}, oci.Descriptor{}, err
	}
	var found []image
	var names []string
	for _, i := range images {
		names = append(names, i.Name)
		if f.name == "" || i.answers(f.name) {
			found = append(found, i)
		}
	}
	switch {
	case len(found) == 0:
		return oci.Reference{}, oci.Descriptor{}, fmt.Errorf("image %q in %s: %w", f.name, f.dir, content.ErrNotFound)
	case len(found) > 1:
		return oci.Reference{}, oci.Descriptor{}, content.WithHint(fmt.Errorf("image %q in %s: %w: there are several", f.name, f.dir, content.ErrInvalid),
			"choose one of %s", strings.Join(names, ", "))
	}
	ref, err := oci.ParseReference(found[0].Name)
	if err != nil || !strings.ContainsAny(found[0].Name, "/:") {
		ref = oci.Reference{} // a tag alone, or nothing
	}
	return ref, found[0].Descriptor, nil
}

// answers says whether name asks for i.
func (i image) answers(name string) bool {
	if i.Name == name {
		return true
	}
	ref, err := oci.ParseReference(i.Name)
	if err != nil {
		return false
	}
	if !strings.ContainsAny(name, "/:") {
		return ref.Tag == name
	}
	asked, err := oci.ParseReference(name)
	return err == nil && asked == ref
}

func (f *folder) images() ([]image, error) {
	file, err := f.root.Open("names.json")
	if err != nil {
		return nil, fsys.Classify(err)
	}
	defer file.Close()
	var images []image
	if err := json.NewDecoder(io.LimitReader(file, maxNames)).Decode(&images); err != nil {
		return nil, fmt.Errorf("names.json: %w: %v", content.ErrCorrupt, err)
	}
	for _, i := range images {
		if err := oci.ValidateDescriptor(i.Descriptor); err != nil {
			return nil, fmt.Errorf("names.json: %w: %w", content.ErrCorrupt, err)
		}
	}
	return images, nil
}

// Fetch implements content.Fetcher.
func (f *folder) Fetch(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	rc, err := f.FetchFrom(ctx, desc, 0)
	if err != nil {
		return nil, err
	}
	return content.VerifyCloser(rc, desc), nil
}

// FetchFrom implements content.RangeFetcher.
func (f *folder) FetchFrom(ctx context.Context, desc oci.Descriptor, offset int64) (io.ReadCloser, error) {
	name, err := file(desc.Digest)
	if err != nil {
		return nil, err
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, fsys.Classify(err)
	}
	fi, err := file.Stat()
	if err == nil && desc.Size >= 0 && fi.Size() != desc.Size {
		err = fmt.Errorf("%s: %w: %d bytes in place of %d", desc.Digest, content.ErrCorrupt, fi.Size(), desc.Size)
	}
	if err == nil {
		_, err = file.Seek(offset, io.SeekStart)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// Exists implements content.Pusher. It reads what is there, which somebody may have
// damaged.
func (f *folder) Exists(ctx context.Context, desc oci.Descriptor) (bool, error) {
	if f.root == nil {
		return false, nil
	}
	rc, err := f.Fetch(ctx, desc)
	if err == nil {
		_, err = io.Copy(io.Discard, rc)
		_ = rc.Close()
	}
	if errors.Is(err, content.ErrNotFound) || errors.Is(err, content.ErrCorrupt) {
		return false, nil
	}
	return err == nil, err
}

// Push implements content.Pusher.
func (f *folder) Push(ctx context.Context, desc oci.Descriptor, r io.Reader) error {
	name, err := file(desc.Digest)
	if err == nil {
		err = f.make()
	}
	if err != nil {
		return err
	}
	return f.write(name, content.Verify(content.UntilDone(ctx, r), desc))
}

// write makes a file of r's bytes, all of them or none.
func (f *folder) write(name string, r io.Reader) error {
	temp := ".dist-transport-dir-" + rand.Text()
	out, err := f.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fsys.Classify(err)
	}
	_, err = io.Copy(out, r)
	if err == nil {
		err = out.Sync()
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = f.root.Rename(temp, name)
	}
	if err != nil {
		_ = f.root.Remove(temp)
	}
	return fsys.Classify(err)
}

// Finish implements content.ImageTarget.
func (f *folder) Finish(ctx context.Context, root oci.Descriptor, name oci.Reference) error {
	if err := f.make(); err != nil {
		return err
	}
	if err := f.complete(ctx, root); err != nil {
		return err
	}
	lock, err := fsys.OS().OpenFile(filepath.Join(f.dir, "names.lock"), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return fsys.Classify(err)
	}
	defer lock.Close()
	if err := lock.Lock(ctx, true); err != nil {
		return err
	}
	images, err := f.images()
	if err != nil && !errors.Is(err, content.ErrNotFound) {
		return err
	}
	entry := image{f.called(name), oci.Descriptor{MediaType: root.MediaType, Digest: root.Digest, Size: root.Size}}
	images = append(slices.DeleteFunc(images, func(i image) bool { return i.Name == entry.Name }), entry)
	data, err := json.MarshalIndent(images, "", "  ")
	if err != nil {
		return err
	}
	if err := f.write("names.json", strings.NewReader(string(data)+"\n")); err != nil {
		return err
	}
	return fsys.Classify(fsys.OS().SyncDir(f.dir))
}

// called is what an image is called here that comes with name.
func (f *folder) called(name oci.Reference) string {
	given := ""
	if name != (oci.Reference{}) {
		given = name.String()
	}
	switch {
	case f.name == "":
		return given
	case strings.ContainsAny(f.name, "/:"):
		if ref, err := oci.ParseReference(f.name); err == nil {
			return ref.String()
		}
	case given != "":
		if ref, err := name.WithTag(f.name); err == nil {
			return ref.String()
		}
	}
	return f.name
}

// complete checks that all that d reaches is here.
func (f *folder) complete(ctx context.Context, d oci.Descriptor) error {
	if !oci.HasSuccessors(d.MediaType) {
		name, err := file(d.Digest)
		if err != nil {
			return err
		}
		fi, err := f.root.Stat(name)
		if errors.Is(err, fs.ErrNotExist) && oci.IsNonDistributable(d.MediaType) {
			return nil
		}
		if err == nil && fi.Size() != d.Size {
			err = fmt.Errorf("%s: %w: %d bytes in place of %d", d.Digest, content.ErrCorrupt, fi.Size(), d.Size)
		}
		return fsys.Classify(err)
	}
	data, err := content.ReadAll(ctx, f, d, oci.MaxManifestSize)
	if err != nil {
		return err
	}
	edges, err := oci.Successors(d.MediaType, data)
	if err != nil {
		return fmt.Errorf("manifest %s: %w: %v", d.Digest, content.ErrCorrupt, err)
	}
	for _, e := range edges {
		if e.Role == oci.RoleSubject {
			continue
		}
		if err := f.complete(ctx, e.Descriptor); err != nil {
			return err
		}
	}
	return nil
}

// Close implements content.ImageSource and content.ImageTarget.
func (f *folder) Close() error {
	if f.root == nil {
		return nil
	}
	return f.root.Close()
}
