package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryclient"
)

// attachedNames are the names that a command gives to attachments, in the
// transaction of its other names.
type attachedNames struct {
	store *blobstore.Store // nil while there is none

	mu    sync.Mutex
	given map[oci.Reference]attachedName
}

// attachedName is what one name will stand for.
type attachedName struct {
	old  oci.Digest
	desc oci.Descriptor
	data []byte
}

func newAttachedNames(s *blobstore.Store) *attachedNames {
	return &attachedNames{store: s, given: map[oci.Reference]attachedName{}}
}

// look finds what a name stands for, or will.
func (a *attachedNames) look(ctx context.Context, name oci.Reference) (oci.Descriptor, []byte, error) {
	a.mu.Lock()
	g, ok := a.given[name]
	a.mu.Unlock()
	if ok {
		return g.desc, g.data, nil
	}
	if a.store == nil {
		return oci.Descriptor{}, nil, fmt.Errorf("name %s: %w: there is no store", name, content.ErrNotFound)
	}
	n, err := a.store.Name(ctx, name)
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	data, err := content.ReadAll(ctx, a.store, n.Target, oci.MaxManifestSize)
	if errors.Is(err, content.ErrNotFound) { // it was here when it got the name
		err = fmt.Errorf("%w: %w", content.ErrCorrupt, err)
	}
	return n.Target, data, err
}

// give notes what a name is to stand for.
func (a *attachedNames) give(name oci.Reference, g attachedName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if first, again := a.given[name]; again {
		g.old = first.old // what is there by now
	}
	a.given[name] = g
}

// changes are the names' moves, in order.
func (a *attachedNames) changes(why string) []content.NameChange {
	a.mu.Lock()
	defer a.mu.Unlock()
	var changes []content.NameChange
	for name, g := range a.given {
		changes = append(changes, content.NameChange{Reference: name, Expect: &g.old, Target: g.desc.Digest, Why: why})
	}
	slices.SortFunc(changes, func(a, b content.NameChange) int {
		return strings.Compare(a.Reference.String(), b.Reference.String())
	})
	return changes
}

// moved says whether somebody else has moved one of the names since it was looked at;
// all are to be looked at again then.
func (a *attachedNames) moved(ctx context.Context) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, g := range a.given {
		n, err := a.store.Name(ctx, name)
		if err != nil && !errors.Is(err, content.ErrNotFound) {
			return false, err
		}
		if n.Target.Digest != g.old {
			clear(a.given)
			return true, nil
		}
	}
	return false, nil
}

// attachingTo is the store as a content.Attacher: attachments get names of one
// repository.
type attachingTo struct {
	names *attachedNames
	repo  oci.Reference
}

// Attached implements content.AttachmentHolder.
func (t attachingTo) Attached(ctx context.Context, subject oci.Digest, suffix string) (oci.Descriptor, []byte, error) {
	name, err := t.name(subject, suffix)
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	return t.names.look(ctx, name)
}

// Attach implements content.Attacher, but for storing the manifest, which Copy has
// done.
func (t attachingTo) Attach(_ context.Context, subject oci.Digest, suffix string, desc oci.Descriptor, data []byte, old oci.Digest) error {
	name, err := t.name(subject, suffix)
	if err == nil {
		t.names.give(name, attachedName{old, desc, data})
	}
	return err
}

// take takes in what a plan would give.
func (t attachingTo) take(ctx context.Context, work content.Plan) error {
	for _, a := range work.Attachments {
		if err := t.Attach(ctx, a.Subject, a.Suffix, a.Target, a.Data, ""); err != nil {
			return err
		}
	}
	return nil
}

// name is what an attachment is called.
func (t attachingTo) name(subject oci.Digest, suffix string) (oci.Reference, error) {
	tag, err := content.AttachmentTag(subject, suffix)
	if err != nil {
		return oci.Reference{}, err
	}
	return t.repo.WithTag(tag)
}

// session is a session of the store as Copy writes to it.
type session interface {
	content.Target
	content.Ingester
	content.Fetcher
}

// keeping is a session that gives names to attachments, too.
type keeping struct {
	session
	attachingTo
}

// standing adds to work what it takes to see that the tags of attachments stand.
func standing(work *content.Plan) {
	work.Requests += int64(len(work.Attachments)) * registryclient.AttachRequests
}
