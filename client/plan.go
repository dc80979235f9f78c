package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"dist.example/content"
	"dist.example/oci"
)

// NameAction is what a verb would do about a name.
type NameAction string

// The actions of a plan.
const (
	NameNew    NameAction = "new"    // there is no such name yet
	NameMove   NameAction = "move"   // it stands for something else
	NameSame   NameAction = "same"   // it stands for that already
	NameDelete NameAction = "delete" // the tag goes
)

// PlannedName is one name of a Plan. The bytes are those that nobody before it in
// the plan has moved or found already.
type PlannedName struct {
	Name      string
	Target    oci.Descriptor // what it will stand for; what it stands for, of one that goes
	Old       oci.Digest     // what it stands for now, "" for nothing or for what nobody asked
	Action    NameAction
	Move      int64
	Held      int64
	Referrers int    // manifests about it that go along
	Where     string // FILE:LINE of the list that names it, "" for none
}

// Plan says what a verb would do, and nothing of it has been done: nothing was
// written, here or there.
type Plan struct {
	Names []PlannedName
	// MoveBytes and HeldBytes are what the Summary of the verb would tell as moved
	// and reused, exact as long as nobody changes anything meanwhile and registries
	// mount what they are asked to.
	MoveBytes, HeldBytes int64
	// Requests is how many the verb would make of registries if all goes well, blobs
	// that come in parallel parts counted once.
	Requests  int64
	Referrers int
}

// asking leaves out of work what is asked of a source that is no registry: a program
// is asked, too, but not over the network.
func (l Locator) asking(work *content.Plan) *content.Plan {
	if l.Transport != TransportRegistry {
		work.Requests -= work.FromSource
		work.FromSource = 0
	}
	return work
}

// add takes a name into the plan, with what a copy of it would do; nil is nothing.
func (p *Plan) add(n PlannedName, work *content.Plan) {
	if work != nil {
		n.Move, n.Held, n.Referrers = work.MoveBytes, work.HeldBytes, work.Referrers
		p.Requests += work.Requests
	}
	p.MoveBytes += n.Move
	p.HeldBytes += n.Held
	p.Referrers += n.Referrers
	p.Names = append(p.Names, n)
}

// sort orders the names, tags to be deleted last.
func (p *Plan) sort() {
	last := func(n PlannedName) int {
		if n.Action == NameDelete {
			return 1
		}
		return 0
	}
	slices.SortFunc(p.Names, func(a, b PlannedName) int {
		return cmp.Or(cmp.Compare(last(a), last(b)), cmp.Compare(a.Name, b.Name))
	})
}

// action is what it means for a name that stands for old to stand for d.
func action(old, d oci.Digest) NameAction {
	switch old {
	case "":
		return NameNew
	case d:
		return NameSame
	}
	return NameMove
}

// nothing is a Holder that has nothing: a store, a layout or an archive that does not
// exist yet.
type nothing struct{}

// Exists implements content.Holder.
func (nothing) Exists(context.Context, oci.Descriptor) (bool, error) { return false, nil }

// Attached implements content.AttachmentHolder.
func (nothing) Attached(_ context.Context, subject oci.Digest, suffix string) (oci.Descriptor, []byte, error) {
	tag, err := content.AttachmentTag(subject, suffix)
	if err == nil {
		err = fmt.Errorf("attachment %s: %w", tag, content.ErrNotFound)
	}
	return oci.Descriptor{}, nil, err
}

// heldHere is the local store as the Holder of a plan, also where there is none.
func (c *Client) heldHere(ctx context.Context) (content.Holder, error) {
	s, err := c.Open(ctx)
	// Not one of another version, which a run would refuse, too.
	if errors.Is(err, content.ErrNoStore) && isEmpty(c.opts.Store) {
		return nothing{}, nil
	}
	if err != nil {
		return nil, err
	}
	return content.HeldBy(s), nil
}

// isEmpty says whether dir is not there, or an empty folder.
func isEmpty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0
}
