package blobstore

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"strings"

	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// MissingError says what a name would reach that is not held. It is
// content.ErrNotFound.
type MissingError struct {
	Name    string
	Digests []oci.Digest
	Damaged bool // the first of them is here, damaged: then it is content.ErrCorrupt
}

func (e *MissingError) Error() string {
	more := ""
	if n := len(e.Digests); n > 1 {
		more = fmt.Sprintf(" and %d more", n-1)
	}
	if e.Damaged {
		return fmt.Sprintf("name %s: %v: %s%s, which it reaches, is damaged", e.Name, content.ErrCorrupt, e.Digests[0], more)
	}
	return fmt.Sprintf("name %s: %v in this store: %s%s, which it reaches", e.Name, content.ErrNotFound, e.Digests[0], more)
}

// Unwrap returns the class.
func (e *MissingError) Unwrap() error {
	if e.Damaged {
		return content.ErrCorrupt
	}
	return content.ErrNotFound
}

// Resolve implements content.Resolver over local names. A reference with a digest
// resolves to that digest if it is held, whether it has a name or not.
func (s *Store) Resolve(ctx context.Context, ref oci.Reference) (oci.Descriptor, error) {
	var (
		o     db.Object
		found bool
		err   error
	)
	if ref.Digest != "" {
		o, found, err = s.db.Object(ctx, ref.Digest)
	} else {
		var r db.Ref
		r, found, err = s.db.Ref(ctx, ref.Local().String())
		o = r.Object
	}
	if err != nil {
		return oci.Descriptor{}, err
	}
	if !found || ref.Digest != "" && !o.Loc.Held() {
		return oci.Descriptor{}, errNoName(ref.String())
	}
	return descriptor(o), nil
}

// AbsentName says that a store has no such name. It is content.ErrNotFound.
type AbsentName struct {
	Name string // in full
	List string // what lists those that are here, the hint where there is no better one
}

func (e *AbsentName) Error() string {
	return fmt.Sprintf("name %s: %v in this store", e.Name, content.ErrNotFound)
}

// Unwrap returns the class.
func (*AbsentName) Unwrap() error { return content.ErrNotFound }

func errNoName(name string) error {
	e := &AbsentName{Name: name, List: "`dist images` lists the names that are here"}
	return content.WithHint(e, "%s", e.List)
}

func descriptor(o db.Object) oci.Descriptor {
	return oci.Descriptor{MediaType: mediaType(o), Digest: o.Digest, Size: o.Size}
}

// Name finds one name. Errors: content.ErrNotFound.
func (s *Store) Name(ctx context.Context, ref oci.Reference) (content.Name, error) {
	r, found, err := s.db.Ref(ctx, ref.Local().String())
	if err != nil {
		return content.Name{}, err
	}
	if !found {
		return content.Name{}, errNoName(ref.Local().String())
	}
	return content.Name{Reference: ref.Local(), Target: descriptor(r.Object), Seq: r.Seq, UpdatedAt: r.Updated, Pinned: r.Pinned, UsedAt: r.Used}, nil
}

// Names implements content.Names.
func (s *Store) Names(ctx context.Context, prefix string) iter.Seq2[content.Name, error] {
	return func(yield func(content.Name, error) bool) {
		var refs []db.Named // first: who looks at what they stand for reads in between
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			for r, err := range tx.Named(prefix) {
				if err != nil {
					return err
				}
				refs = append(refs, r)
			}
			return nil
		})
		if err != nil {
			yield(content.Name{}, err)
			return
		}
		var names namer
		for _, r := range refs {
			if !yield(names.of(r)) {
				return
			}
		}
	}
}

// EachName calls fn for the names that begin with prefix, in order, until it says that it
// wants no more. They are read as fn takes them, in one snapshot: fn is to be brief, and
// not to use the store.
func (s *Store) EachName(ctx context.Context, prefix string, fn func(content.Name) bool) error {
	return s.db.Read(ctx, func(tx *db.Tx) error {
		var names namer
		for r, err := range tx.Named(prefix) {
			if err != nil {
				return err
			}
			name, err := names.of(r)
			if err != nil {
				return err
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if !fn(name) {
				return nil
			}
		}
		return nil
	})
}

// Tags lists the tags of a repository (registry/path) by the media type of what they
// stand for, in no order: what a registry gives of thousands of names. No repository
// has none.
func (s *Store) Tags(ctx context.Context, repo string) (byType map[string][]string, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		byType, err = tx.Tags(repo)
		return err
	})
	return byType, err
}

// Hosts lists the hosts that names begin with, in order, whatever the number of
// names.
func (s *Store) Hosts(ctx context.Context) (hosts []string, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		hosts, err = tx.Hosts()
		return err
	})
	return hosts, err
}

// AnyName says whether a name begins with prefix: it looks at no more than one.
func (s *Store) AnyName(ctx context.Context, prefix string) (found bool, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		found, err = tx.AnyRef(prefix)
		return err
	})
	return found, err
}

// namer reads many names. They come in order, so that one has as a rule the
// repository of the one before, which need not be parsed again.
type namer struct {
	last   oci.Reference
	prefix string // last's repository with the colon of a tag, "" before the first one
}

func (n *namer) of(r db.Named) (content.Name, error) {
	if tag, ok := strings.CutPrefix(r.Name, n.prefix); ok && n.prefix != "" && oci.IsTag(tag) {
		n.last.Tag = tag
		return named(n.last, r), nil
	}
	name, err := nameOf(r)
	n.prefix = ""
	if err == nil && name.Reference.Digest == "" {
		n.last, n.prefix = name.Reference, name.Reference.Name()+":"
	}
	return name, err
}

func nameOf(r db.Named) (content.Name, error) {
	ref, err := oci.ParseReference(r.Name)
	if err != nil {
		return content.Name{}, fmt.Errorf("name %q in the catalog: %w: %v", r.Name, content.ErrCorrupt, err)
	}
	return named(ref, r), nil
}

func named(ref oci.Reference, r db.Named) content.Name {
	target := oci.Descriptor{MediaType: cmp.Or(r.Media, oci.MediaTypeOctets), Digest: r.Digest, Size: r.Size}
	return content.Name{Reference: ref, Target: target, Seq: r.Seq, UpdatedAt: r.Updated, Pinned: r.Pinned, UsedAt: r.Used}
}

// SetNames implements content.Names.
func (s *Store) SetNames(ctx context.Context, changes ...content.NameChange) error {
	return s.SetTrustedNames(ctx, nil, changes...)
}

// Tag implements content.Tagger.
func (s *Store) Tag(ctx context.Context, desc oci.Descriptor, ref oci.Reference) error {
	return s.SetNames(ctx, content.NameChange{Reference: ref, Target: desc.Digest, Why: "tag"})
}

// refChanges makes sure, within tx, that everything a name is to reach is held
// (platforms left out of an index are no loss, nor are layers that may not be
// distributed), and ends the leases that put left on it.
func refChanges(tx *db.Tx, names []content.NameChange) ([]db.RefChange, error) {
	changes := make([]db.RefChange, len(names))
	for i, n := range names {
		ref := n.Reference.Local()
		if ref.Identifier() == "" || ref.Digest != "" && n.Target != "" && ref.Digest != n.Target {
			return nil, fmt.Errorf("name %s: %w: it cannot stand for %s", ref, content.ErrInvalid, n.Target)
		}
		name := ref.String()
		changes[i] = db.RefChange{Name: name, Expect: n.Expect, Why: n.Why}
		if n.Target == "" {
			continue
		}
		reached, err := reachable(tx, name, n.Target)
		if err != nil {
			return nil, err
		}
		if _, err := tx.EndPutLeases(reached); err != nil {
			return nil, err
		}
		changes[i].New = n.Target
	}
	return changes, nil
}

// reachable are the ids of all that name reaches once it stands for d. Errors:
// *MissingError when some of it is not held.
func reachable(tx *db.Tx, name string, d oci.Digest) ([]int64, error) {
	o, found, err := tx.Object(d)
	if err != nil {
		return nil, err
	}
	if !found || !o.Loc.Held() {
		return nil, &MissingError{name, []oci.Digest{d}, found && o.Loc == db.LocDamaged}
	}
	reached, missing, err := tx.Reach([]int64{o.ID})
	if err == nil && len(missing) > 0 {
		err = missingError(name, missing)
	}
	return reached, err
}

func missingError(name string, objects []db.Object) error {
	e := &MissingError{Name: name, Damaged: objects[0].Loc == db.LocDamaged}
	for _, o := range objects {
		e.Digests = append(e.Digests, o.Digest)
	}
	return e
}

// Search finds the digests held whose hash begins with a hex prefix, at most
// limit of them.
func (s *Store) Search(ctx context.Context, hexPrefix string, limit int) ([]oci.Digest, error) {
	all, err := s.SearchAll(ctx, []string{hexPrefix}, limit)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// SearchAll is Search for several prefixes at one moment: the answer to each is
// at its place.
func (s *Store) SearchAll(ctx context.Context, hexPrefixes []string, limit int) ([][]oci.Digest, error) {
	all := make([][]oci.Digest, len(hexPrefixes))
	err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		for i, prefix := range hexPrefixes {
			if all[i], err = tx.ByHexPrefix(strings.ToLower(prefix), limit); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}
