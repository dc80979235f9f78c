package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"dist.example/blobstore"
	"dist.example/budgets"
	"dist.example/bundle"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/plugin"
	"dist.example/registryclient"
)

// Locate reads a locator: the client knows which transports there are.
func (c *Client) Locate(s string) (Locator, error) {
	l, err := ParseLocator(s, c.knows)
	return l, withoutScheme(s, "HOST/REPOSITORY:TAG", err)
}

// withoutScheme adds to err, about s, that registries are named without one.
func withoutScheme(s, want string, err error) error {
	if err == nil || content.Hint(err) != "" || !strings.Contains(s, "://") {
		return err
	}
	return content.WithHint(err, "leave out the scheme: %s", want)
}

// atRegistry is ref with its host replaced by what -r says.
func atRegistry(ref oci.Reference, host string) (oci.Reference, error) {
	ref, err := ref.WithRegistry(host)
	return ref, withoutScheme(host, "HOST or HOST:PORT", err)
}

// knows says whether name is a transport's.
func (c *Client) knows(name string) bool {
	_, err := c.transport(name)
	return err == nil
}

// transport finds a transport by its name. Errors: ErrNotFound.
func (c *Client) transport(name string) (content.Transport, error) {
	switch name {
	case TransportRegistry:
		remote, err := c.registry()
		return registries{remote}, err
	case TransportStore:
		return stored{c}, nil
	case "oci":
		return bundle.Layout{}, nil
	case "oci-archive":
		return bundle.OCIArchive{Epoch: c.opts.Epoch}, nil
	case "docker-archive":
		return bundle.DockerArchive{Epoch: c.opts.Epoch}, nil
	case TransportBundle:
		return bundle.InPlace{}, nil
	}
	return plugin.Find(name, plugin.Options{Offline: c.opts.Registry.Offline, Warn: c.opts.Warn})
}

// source opens the place that l names for reading.
func (c *Client) source(ctx context.Context, l Locator) (content.ImageSource, error) {
	t, err := c.transport(l.Transport)
	if err != nil {
		return nil, err
	}
	return t.Source(ctx, l.Place)
}

// target opens the place that l names for writing.
func (c *Client) target(ctx context.Context, l Locator) (content.ImageTarget, error) {
	t, err := c.transport(l.Transport)
	if err != nil {
		return nil, err
	}
	return t.Target(ctx, l.Place)
}

// registries is the transport of registries. A place is a reference.
type registries struct{ remote *registryclient.Client }

// Source implements content.Transport.
func (t registries) Source(_ context.Context, place string) (content.ImageSource, error) {
	ref, err := oci.ParseReference(place)
	if err != nil {
		return nil, err
	}
	return fromRegistry{t.remote.Repository(ref), ref, t.remote}, t.remote.Online()
}

// Target implements content.Transport. The target may be a repository without a
// tag: Finish then takes that of the image.
func (t registries) Target(_ context.Context, place string) (content.ImageTarget, error) {
	ref, err := oci.ParseRepository(place)
	if err != nil {
		ref, err = oci.ParseReference(place)
	}
	if err != nil {
		return nil, err
	}
	return &toRegistry{Repository: t.remote.Repository(ref).ForPush(), ref: ref}, t.remote.Online()
}

// fromRegistry is an image in a registry; what a Repository can do besides, it can.
type fromRegistry struct {
	*registryclient.Repository
	ref    oci.Reference
	remote *registryclient.Client
}

// Image implements content.ImageSource with one request.
func (s fromRegistry) Image(ctx context.Context) (oci.Reference, oci.Descriptor, error) {
	desc, err := s.Resolve(ctx, s.ref)
	return s.ref, desc, err
}

// Close implements io.Closer.
func (s fromRegistry) Close() error { return nil }

// toRegistry is a place in a registry that an image is pushed to.
type toRegistry struct {
	*registryclient.Repository
	ref    oci.Reference
	expect *oci.Digest // what the tag has to stand for, nil for whatever
	root   oci.Digest
	data   []byte // the root manifest, once it was pushed
	alone  bool   // what is pushed comes by the only connection that there may be
}

// settle is the name that root will have: the locator's, with the tag of name
// where it has none, else the digest.
func (t *toRegistry) settle(root oci.Descriptor, name oci.Reference) (oci.Reference, error) {
	t.root = root.Digest
	to := t.ref
	if to.Digest != "" && to.Digest != root.Digest {
		return to, fmt.Errorf("%s: %w: the image is %s", to, content.ErrInvalid, root.Digest)
	}
	if to.Tag == "" && to.Digest == "" {
		to.Tag = name.Tag
	}
	if to.Tag != "" {
		to.Digest = ""
		return to, nil
	}
	return to.WithDigest(root.Digest), nil
}

// current is what to stands for now, the zero Descriptor for nothing and where the
// registry does not tell.
func (t *toRegistry) current(ctx context.Context, to oci.Reference) (oci.Descriptor, error) {
	desc, err := t.Resolve(ctx, to)
	if errors.Is(err, content.ErrNotFound) || errors.Is(err, content.ErrUnsupported) {
		return oci.Descriptor{}, nil
	}
	return desc, err
}

// Push implements content.Pusher. The root manifest is kept for the tag.
func (t *toRegistry) Push(ctx context.Context, desc oci.Descriptor, r io.Reader) error {
	if t.alone {
		ctx = budgets.Holding(ctx)
	}
	if desc.Digest != t.root || !oci.HasSuccessors(desc.MediaType) || desc.Size > oci.MaxManifestSize {
		return t.Repository.Push(ctx, desc, r)
	}
	data, err := io.ReadAll(content.Verify(io.LimitReader(r, oci.MaxManifestSize+1), desc))
	if err != nil {
		return err
	}
	t.data = data
	return t.PushManifest(ctx, desc, data)
}

// Finish implements content.ImageTarget: the tag comes last.
func (t *toRegistry) Finish(ctx context.Context, root oci.Descriptor, name oci.Reference) error {
	to, err := t.settle(root, name)
	switch {
	case err != nil || to.Tag == "":
		return err // by its digest it is there already
	case t.expect != nil:
		return t.SwapTag(ctx, root, t.data, to.Tag, *t.expect)
	case t.data != nil:
		return t.PushManifest(ctx, root, t.data, to.Tag)
	}
	return t.Tag(ctx, root, to)
}

// tagging is how many requests Finish makes after what work says.
func (t *toRegistry) tagging(to oci.Reference, work content.Plan) int64 {
	if to.Tag == "" {
		return 0
	}
	n := int64(1)
	if t.expect != nil {
		n++ // it looks once more
	}
	for _, item := range work.Items {
		if item.Descriptor.Digest == t.root && item.Action == content.PlanHeld && t.data == nil {
			n++ // and gets the manifest from there
		}
	}
	return n
}

// Close implements io.Closer.
func (t *toRegistry) Close() error { return nil }

// stored is the transport of the local store. A place is a name, and one that is read
// from may be NAME@{WHEN}.
type stored struct{ c *Client }

// Source implements content.Transport. Errors: ErrNoStore.
func (t stored) Source(ctx context.Context, place string) (content.ImageSource, error) {
	ref, when, err := parseNamed(place)
	if err != nil {
		return nil, err
	}
	s, err := t.c.Open(ctx)
	if err != nil {
		return nil, err
	}
	t.c.healing(s)
	return fromStore{s, s, s, s, ref, when, s}, nil
}

// Target implements content.Transport. The store is made if there is none.
func (t stored) Target(ctx context.Context, place string) (content.ImageTarget, error) {
	ref, err := oci.ParseReference(place)
	if err != nil {
		return nil, err
	}
	s, err := t.c.Init(ctx)
	if err != nil {
		return nil, err
	}
	change, err := expectation(ctx, s, ref)
	if err != nil {
		return nil, err
	}
	ses, err := s.Begin(ctx, blobstore.SessionOptions{Note: "copy"})
	if err != nil {
		return nil, err
	}
	return &toStore{Session: ses, attachingTo: attachingTo{newAttachedNames(s), ref}, store: s, change: change}, nil
}

// fromStore is an image of the store; the store itself stays open.
type fromStore struct {
	content.Fetcher
	content.Provider
	content.ReferrerLister
	content.AttachmentLister
	ref   oci.Reference
	when  *moment // nil for now
	store *blobstore.Store
}

// Image implements content.ImageSource.
func (s fromStore) Image(ctx context.Context) (oci.Reference, oci.Descriptor, error) {
	desc, err := resolveNamed(ctx, s.store, s.ref, s.when)
	return s.ref.Local(), desc, err
}

// Close implements io.Closer.
func (s fromStore) Close() error { return nil }

// toStore is a name of the store that an image is to get.
type toStore struct {
	*blobstore.Session
	attachingTo
	store  *blobstore.Store
	change content.NameChange
}

var (
	_ content.Ingester = (*toStore)(nil)
	_ content.Attacher = (*toStore)(nil)
	_ io.Closer        = (*toStore)(nil)
)

// Finish implements content.ImageTarget. Errors: ErrConflict when somebody else
// moved the name meanwhile.
func (t *toStore) Finish(ctx context.Context, root oci.Descriptor, _ oci.Reference) error {
	if ref := t.change.Reference; ref.Digest != "" && ref.Digest != root.Digest {
		return fmt.Errorf("%s: %w: the image is %s", ref, content.ErrInvalid, root.Digest)
	}
	t.change.Target, t.change.Why = root.Digest, "copy"
	return t.Commit(ctx, append(t.names.changes("copy"), t.change)...)
}

// renew lets the name be set anew if it has made room since it was looked at.
func (t *toStore) renew(ctx context.Context) (again bool, err error) {
	if *t.change.Expect == "" {
		return false, nil
	}
	if again, err = t.store.MadeRoom(ctx, t.change.Reference); again {
		t.change.Expect = new(oci.Digest)
	}
	return again, err
}
