package content

import (
	"context"
	"iter"

	"dist.example/oci"
)

// Membership says how a digest came to be in a repository other than by a name of
// the store. The set is open.
type Membership int

const (
	// Pushed: somebody who could push to the repository brought its bytes, or could
	// already read them. It vouches for nothing that it refers to, and what referred
	// to something that was not there by then does not, either, when a name stands for
	// it or something else there refers to it.
	Pushed Membership = 1
	// Mirrored: the owner of the store has it from the repository that this one stands
	// for, and says that what it refers to is in that repository too, and so in this
	// one. A server that fetches for others does not say that: who may push there can
	// have a manifest refer to anything.
	Mirrored Membership = 2
)

// RepositoryReader tells which repository has which digest. A store is one shelf of
// blobs for all names; a server that gives repositories to different people must not
// let one reach the blobs of another. A repository is registry/path, as
// oci.Reference.Name gives it.
//
// A digest is in a repository when
//   - it was included there, or a name there stands for it; or
//   - something that is there refers to it as config, layer or manifest, and is not
//     there only because it was pushed, nor was pushed with something missing: who
//     pushes an index need not hold all that it lists, and so must not get it that
//     way; or
//   - its subject is there, and it was included in no repository at all, nor excluded
//     from this one: what the owner of the store signed or attached goes with its
//     subject, what was pushed or mirrored stays where it was brought.
//
// What is deleted is in none, and brought again in those alone that it is brought to.
type RepositoryReader interface {
	// InRepository says of each digest whether it is held and in repo, in the order
	// of digests.
	InRepository(ctx context.Context, repo string, digests ...oci.Digest) ([]bool, error)
	// RepositoriesOf lists repositories that may have d, each once, those first that
	// it was included in; InRepository decides.
	RepositoriesOf(ctx context.Context, d oci.Digest) iter.Seq2[string, error]
}

// Repositories is a RepositoryReader that can be told.
type Repositories interface {
	RepositoryReader
	// Include puts digests that are held into repo. A digest that is there as Pushed
	// becomes Mirrored by that, and not the reverse. It keeps nothing from being
	// collected: see Leases. Errors: ErrNotFound when one is not held, and then none
	// is included.
	Include(ctx context.Context, repo string, how Membership, digests ...oci.Digest) error
	// Exclude takes digests out of repo, judged as one set; names there that stand
	// for one of them go with it. Errors: ErrConflict when something else there still
	// refers to one, so that it would not be out, and nothing changes then. What is
	// not there is no error. A later Include puts them back.
	Exclude(ctx context.Context, repo string, digests ...oci.Digest) error
}

// NameReader reads the local name space.
type NameReader interface {
	Resolver
	// Names lists names in order; prefix "" means all, else those whose full form
	// begins with it.
	Names(ctx context.Context, prefix string) iter.Seq2[Name, error]
}

// InfoReader knows what one blob is.
type InfoReader interface {
	// Info tells of one blob. Errors: ErrNotFound; a damaged blob is told of, with
	// its Place.
	Info(ctx context.Context, d oci.Digest) (Info, error)
}

// UseNoter is a Library that keeps when its names were last used.
type UseNoter interface {
	// NoteUse notes that what name stands for is used now. It neither waits nor fails.
	NoteUse(name oci.Reference)
}

// Library is the part of a store that reads: what a registry needs that takes
// nothing.
type Library interface {
	Provider
	Fetcher
	InfoReader
	NameReader
	ReferrerLister
	RepositoryReader
}
