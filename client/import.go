package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"dist.example/blobstore"
	"dist.example/bundle"
	"dist.example/content"
	"dist.example/oci"
)

// ImportOptions direct Import.
type ImportOptions struct {
	// Map renames images: OLD=NEW, where OLD is a name, or what names begin with up to a
	// slash, a colon or their end; or of an image without a name, its tag or its digest.
	// The longest counts.
	Map []string
	// Replace moves names that stand for something else. Without it they are only moved
	// where the policy vouches for what comes.
	Replace bool
	// Lock is as in PullOptions.
	Lock string
	// Verify hashes again what is here already, and takes it from the bundle where it is
	// damaged.
	Verify bool
	// Reference keeps large blobs in the archive's own blocks, where the file system can
	// share those between files. Where it cannot they are copied.
	Reference bool
	// Request is the file that is written when the base of a delta is missing; "" puts
	// PLACE.request.json beside the bundle.
	Request string
	// AllowRollback takes a bundle, and images, older than those that were accepted.
	AllowRollback bool
	// Evict is as in PullOptions.
	Evict bool
	// Stdin is what the place - reads.
	Stdin io.Reader
}

// ImportSummary is the account of Import. Its names are those of the store.
type ImportSummary struct {
	Summary
	// Bundle and Serial are what the bundle is called, "" and 0 for what has no name.
	Bundle string
	Serial int64
	// Vouchers are the ids of the keys that vouch for the bundle by the policy.
	Vouchers []oci.Digest
	// Nameless are images that have no name, and are kept without for some days.
	Nameless []oci.Descriptor
	// Absent is how many images of indexes were left out by the sender.
	Absent int
}

// keepImported is how long what came without a name is kept, what came of a bundle whose
// volumes are not all there, and what came of a delta whose base is not.
const keepImported = DefaultKeep

// Import brings what bundles, archives and layouts in files hold into the store, which is
// made when there is none, and lets its names stand for it: all names or, with an error,
// none. A place is a file, a folder, or - for Stdin; several are the volumes of one bundle,
// in any order, and those that are missing may come by another call.
//
// Before anything of it comes the bundle is held to the policy, where it can be known what
// it is; then each blob is verified, and each image held to the policy, under the name
// that the bundle says and under the name that it gets. What is here already is not
// written again, and in a file not read. After an error the blobs that came are kept for
// the next try.
//
// Errors: ErrCorrupt for what is damaged, or not what the bundle's contents say;
// ErrUntrusted; ErrConflict for a name that stands for something else; ErrNoSpace;
// ErrPartial when volumes are missing; ErrBase when a delta is on top of what is not here:
// then what it carries is kept for a week and a Request was written, and the import of what
// answers that finishes it; ErrUnsupported; ErrInvalid for what is no bundle.
func (c *Client) Import(ctx context.Context, places []string, o ImportOptions) (ImportSummary, error) {
	im, err := c.newImport(places, o)
	if err != nil {
		return ImportSummary{}, err
	}
	defer im.close()
	if im.store, err = c.Init(ctx); err != nil {
		return ImportSummary{}, err
	}
	if err = im.run(ctx); err == nil && o.Lock != "" {
		err = writeLock(ctx, o.Lock, im.lock())
	}
	return im.summary(), err
}

// imports is one run of Import.
type imports struct {
	c      *Client
	o      ImportOptions
	places []string
	names  []renaming
	start  time.Time
	plans  bool // nothing is to be changed

	store  *blobstore.Store   // nil where there is none, in a plan
	ses    *blobstore.Session // nil before something has to be written
	in     *bundle.Incoming   // once all of it can be read
	stream *storing           // what brought it, nil where it is read in place
	bundle admittedBundle

	images   []*imported
	absent   map[oci.Digest]bool // left out by the sender
	attached *attachedNames
	stats    content.Stats

	mu     sync.Mutex
	shares blockShares
	types  map[oci.Digest]oci.Descriptor // of blobs, as the manifests say
}

// imported is one image of an import.
type imported struct {
	bundle.IncomingImage
	name     oci.Reference // that it gets, zero for none
	old      oci.Digest    // what the name stands for, "" for nothing
	admitted admitted
}

func (c *Client) newImport(places []string, o ImportOptions) (*imports, error) {
	if len(places) == 0 {
		return nil, fmt.Errorf("import: %w: no file and no folder is given", content.ErrInvalid)
	}
	names, err := parseRenamings(o.Map)
	if err == nil {
		err = inVolumes(places)
	}
	if err != nil {
		return nil, err
	}
	if _, err := c.inForce(); err != nil {
		return nil, err
	}
	return &imports{
		c: c, o: o, places: places, names: names, start: time.Now(),
		absent: map[oci.Digest]bool{}, types: map[oci.Digest]oci.Descriptor{},
	}, nil
}

// inVolumes refuses a place that is not there, and whose volumes are.
func inVolumes(places []string) error {
	for _, place := range places {
		_, err := os.Stat(place)
		if _, first := os.Stat(bundle.VolumeName(place, 1)); place != "-" && errors.Is(err, os.ErrNotExist) && first == nil {
			return content.WithHint(fmt.Errorf("import %s: %w: it is in volumes", place, content.ErrNotFound), "`dist import %s.*` takes them", place)
		}
	}
	return nil
}

// close gives back what was opened. What the session holds stays under its lease.
func (im *imports) close() {
	if im.ses != nil {
		if err := im.ses.Close(); err != nil {
			im.c.opts.Warn(fmt.Sprintf("what came is not kept: %v", err))
		}
	}
	if im.in != nil {
		_ = im.in.Close() // it was only read
	}
}

func (im *imports) run(ctx context.Context) error {
	if err := im.open(ctx); err != nil {
		return err
	}
	if err := im.look(ctx); err != nil {
		return err
	}
	if im.stream == nil {
		if err := im.begin(ctx); err != nil {
			return err
		}
		if err := im.fit(ctx); err != nil {
			return err
		}
	}
	if err := im.finish(ctx); err != nil {
		return err
	}
	im.remember(ctx)
	return nil
}

// begin opens the session that everything comes by.
func (im *imports) begin(ctx context.Context) (err error) {
	if im.ses == nil {
		im.ses, err = im.store.Begin(ctx, blobstore.SessionOptions{Note: "import"})
	}
	return err
}

// look finds out what is to become of which name, and whether it may.
func (im *imports) look(ctx context.Context) error {
	if err := im.list(ctx); err != nil {
		return err
	}
	if err := im.findBase(ctx); err != nil {
		return err
	}
	if err := im.standing(ctx); err != nil {
		return err
	}
	if err := im.admitAll(ctx); err != nil {
		return err
	}
	return im.unmoved()
}

// finish brings what is not here yet, and gives the names.
func (im *imports) finish(ctx context.Context) error {
	im.attached = newAttachedNames(im.store)
	for try := 0; ; try++ {
		if err := im.copyAll(ctx); err != nil {
			return err
		}
		if err := im.keepNameless(ctx); err != nil {
			return err
		}
		if im.stream != nil {
			if err := im.stream.noteTypes(ctx); err != nil {
				return err
			}
		} else if err := im.verifyRest(ctx); err != nil {
			return err
		}
		im.c.hook("import.copied")
		im.ses.Trust(im.marks()...)
		err := im.ses.Commit(ctx, im.changes()...)
		im.c.hook("import.named")
		var missing *blobstore.MissingError
		switch {
		case err == nil, try == 2:
			return err
		case errors.As(err, &missing) && im.stream == nil: // given up or found damaged meanwhile
		case errors.Is(err, content.ErrConflict):
			if again, lerr := im.overtaken(ctx); lerr != nil || !again {
				return errors.Join(err, lerr)
			}
		default:
			return err
		}
	}
}

// overtaken looks at the names again, after somebody else has moved one of them, and says
// whether they may be moved as they stand now.
func (im *imports) overtaken(ctx context.Context) (bool, error) {
	again, err := im.attached.moved(ctx)
	if err != nil {
		return false, err
	}
	before := im.olds()
	if err := im.standing(ctx); err != nil {
		return false, err
	}
	return (again || !slices.Equal(before, im.olds())) && im.unmoved() == nil, nil
}

func (im *imports) olds() (olds []oci.Digest) {
	for _, i := range im.images {
		olds = append(olds, i.old)
	}
	return olds
}

func (im *imports) copyAll(ctx context.Context) error {
	moved := im.stats // by an earlier try, after which all else is counted anew
	im.stats.Referrers = 0
	if im.stream == nil {
		im.stats = content.Stats{MovedBytes: moved.MovedBytes, MovedBlobs: moved.MovedBlobs}
	}
	for _, i := range im.images {
		repo := i.name
		if repo == (oci.Reference{}) {
			repo = i.Name
		}
		var to content.Pusher = keeping{im.session(), attachingTo{im.attached, repo}}
		if repo == (oci.Reference{}) { // an attachment would have no name either
			to = im.session()
		}
		stats, err := content.Copy(ctx, to, im.in, i.Target, im.options())
		if im.stream == nil {
			im.stats = im.stats.Add(stats)
		} else {
			im.stats.Referrers += stats.Referrers
		}
		if err != nil {
			return fmt.Errorf("import %s: %w", i.Label(), im.found(err))
		}
	}
	return nil
}

// verifyRest reads what no image reached: a signature that is damaged is none, and must
// not be left behind in silence.
func (im *imports) verifyRest(ctx context.Context) error {
	for _, d := range im.in.Unlisted() {
		here, err := im.ses.Exists(ctx, oci.Descriptor{Digest: d})
		if err != nil {
			return err
		}
		if here {
			continue
		}
		r, err := im.in.Fetch(ctx, oci.Descriptor{Digest: d, Size: -1})
		if err != nil {
			return im.found(err)
		}
		_, err = io.Copy(io.Discard, r)
		if err := errors.Join(err, r.Close()); err != nil {
			return fmt.Errorf("import %s: %w", im.places[0], im.found(err))
		}
	}
	return nil
}

// found gives what a bundle lacks, and should have, its class.
func (im *imports) found(err error) error {
	if errors.Is(err, content.ErrNotFound) && !errors.Is(err, content.ErrCorrupt) {
		return fmt.Errorf("%w: %w", content.ErrCorrupt, err)
	}
	return err
}

// session is where everything goes to.
func (im *imports) session() session {
	if im.o.Verify {
		return verifying{im.ses, im.store}
	}
	if im.o.Reference && im.stream == nil {
		return referencing{im.ses, im}
	}
	return im.ses
}

func (im *imports) options() content.CopyOptions {
	return content.CopyOptions{
		Jobs: im.c.opts.Jobs, Children: im.children, Referrers: true, Observe: im.observe, Warn: im.c.opts.Warn,
	}
}

// children leaves out what the sender left out, and learns what blobs are.
func (im *imports) children(parent oci.Descriptor, edges []oci.Edge) ([]oci.Edge, error) {
	edges, err := Platforms{All: true}.children(parent, edges)
	im.mu.Lock()
	defer im.mu.Unlock()
	for _, e := range edges {
		if !oci.HasSuccessors(e.MediaType) {
			im.types[e.Digest] = e.Descriptor
		}
	}
	return slices.DeleteFunc(edges, func(e oci.Edge) bool { return im.absent[e.Digest] }), err
}

// observe passes progress on, but what a stream brought was told of when it came.
func (im *imports) observe(e content.Event) {
	if im.stream == nil {
		im.c.opts.Observe(e)
	}
	if e.Kind == content.EventFinished {
		im.c.hook("import.blob")
	}
}

func (im *imports) marks() []blobstore.TrustMark {
	marks := slices.Clone(im.bundle.marks)
	for _, i := range im.images {
		marks = append(marks, i.admitted.marks...)
	}
	return marks
}

func (im *imports) changes() []content.NameChange {
	var changes []content.NameChange
	for _, i := range im.images {
		if i.name == (oci.Reference{}) || i.old == i.Target.Digest {
			continue
		}
		same := func(c content.NameChange) bool { return c.Reference == i.name }
		if !slices.ContainsFunc(changes, same) { // it may be listed twice
			changes = append(changes, content.NameChange{Reference: i.name, Expect: &i.old, Target: i.Target.Digest, Why: "import"})
		}
	}
	return append(changes, im.attached.changes("import")...)
}

// lock is what was imported, as lines of a lock.
func (im *imports) lock() (lines []lockLine) {
	for _, i := range im.images {
		if i.name != (oci.Reference{}) {
			lines = append(lines, lockLine{name: i.name, digest: i.Target.Digest})
		}
	}
	return lines
}

func (im *imports) summary() ImportSummary {
	s := ImportSummary{Vouchers: im.bundle.vouchers, Absent: len(im.absent)}
	s.Stats, s.Elapsed, s.Looked = im.stats, time.Since(im.start), true
	if im.in != nil && im.in.Contents != nil {
		s.Bundle, s.Serial = im.in.Contents.Name, im.in.Contents.Serial
	}
	for _, i := range im.images {
		if i.name == (oci.Reference{}) {
			s.Nameless = append(s.Nameless, i.Target)
			continue
		}
		s.Names = append(s.Names, Moved{i.name.String(), i.Target, i.old != i.Target.Digest, i.admitted.vouchers})
	}
	return s
}
