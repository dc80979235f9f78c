package client

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"dist.example/blobstore"
	"dist.example/bundle"
	"dist.example/content"
	"dist.example/oci"
)

// maxPlanned bounds what a plan of a stream keeps in memory: manifests, and configurations
// of archives of Docker's.
const maxPlanned = 256 << 20

// ImportPlan says what Import would do.
type ImportPlan struct {
	Plan
	// Bundle, Serial, Vouchers and Absent are as in ImportSummary.
	Bundle   string
	Serial   int64
	Vouchers []oci.Digest
	Absent   int
}

// PlanImport says what Import would do: which names it would give, whether it may, and how
// much would come. Nothing is changed, and no store is made; a stream is read to its end.
// Errors: as Import. The plan is there with an ErrConflict for names that stand for
// something else, too.
func (c *Client) PlanImport(ctx context.Context, places []string, o ImportOptions) (ImportPlan, error) {
	ctx = blobstore.AsItIs(ctx)
	im, err := c.newImport(places, o)
	if err != nil {
		return ImportPlan{}, err
	}
	defer im.close()
	im.plans = true
	here, err := c.heldHere(ctx)
	if err != nil {
		return ImportPlan{}, err
	}
	if im.store, err = c.storeIfAny(ctx); err != nil {
		return ImportPlan{}, err
	}
	if err := im.open(ctx); err != nil {
		return ImportPlan{}, err
	}
	stands := im.look(ctx)
	if stands != nil && !errors.Is(stands, errStands) {
		return ImportPlan{}, stands
	}
	p, err := im.plan(ctx, here)
	return p, cmp.Or(err, stands)
}

// plan adds what would come.
func (im *imports) plan(ctx context.Context, here content.Holder) (ImportPlan, error) {
	p := ImportPlan{Vouchers: im.bundle.vouchers, Absent: len(im.absent)}
	if im.in.Contents != nil {
		p.Bundle, p.Serial = im.in.Contents.Name, im.in.Contents.Serial
	}
	one := newPlanned(here)
	names := newAttachedNames(im.store)
	for _, i := range im.images {
		n := PlannedName{Name: i.name.String(), Target: i.Target, Old: i.old, Action: action(i.old, i.Target.Digest)}
		if i.name == (oci.Reference{}) {
			n.Name = i.Label()
		}
		one.src, one.attachingTo = im.in, attachingTo{names, i.name}
		var to content.Holder = one
		if i.name == (oci.Reference{}) {
			to = withoutNames{one}
		}
		o := im.options()
		o.Observe = nil
		work, err := content.PlanCopy(ctx, to, im.in, i.Target, o)
		if err != nil {
			return p, fmt.Errorf("import %s: %w", i.Label(), im.found(err))
		}
		if err := one.take(ctx, work); err != nil {
			return p, err
		}
		p.add(n, &work)
	}
	if im.store == nil {
		return p, nil
	}
	return p, im.c.planRoom(ctx, im.store, p.MoveBytes, im.o.Evict, im.references())
}

// withoutNames is planned for an image that has no name, and whose attachments have none.
type withoutNames struct{ p *planned }

// Exists implements content.Holder.
func (w withoutNames) Exists(ctx context.Context, desc oci.Descriptor) (bool, error) {
	return w.p.Exists(ctx, desc)
}

// Fetch implements content.Fetcher.
func (w withoutNames) Fetch(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	return w.p.Fetch(ctx, desc)
}

// planning is the Receiver of a plan: it keeps in memory what may be a manifest or a
// configuration, and of all else the first bytes.
type planning struct {
	im    *imports
	begun bool
	held  int
	kept  map[oci.Digest]keptBlob
}

type keptBlob struct {
	size int64
	data []byte // from its beginning on
}

func newPlanning(im *imports) *planning { return &planning{im: im, kept: map[oci.Digest]keptBlob{}} }

// Begin implements bundle.Receiver.
func (p *planning) Begin(ctx context.Context, h bundle.Head) error {
	if p.begun {
		return nil
	}
	p.begun = true
	return p.im.admitBundle(ctx, h)
}

// Blob implements bundle.Receiver.
func (p *planning) Blob(_ context.Context, b bundle.Coming) (oci.Digest, error) {
	head := min(b.Size, 512)
	if b.Size <= oci.MaxManifestSize && (b.MediaType == "" || oci.HasSuccessors(b.MediaType) || oci.IsImageConfig(b.MediaType)) {
		head = b.Size
	}
	if p.held += int(head); p.held > maxPlanned {
		return "", fmt.Errorf("plan: %w: it would keep more than %d bytes in memory", content.ErrUnsupported, maxPlanned)
	}
	data := make([]byte, head)
	if _, err := io.ReadFull(b.Reader, data); err != nil {
		return "", err
	}
	d := b.Digest
	if d == "" {
		var err error
		if d, _, err = oci.DigestReader(io.MultiReader(bytes.NewReader(data), b.Reader)); err != nil {
			return "", err
		}
	}
	p.kept[d] = keptBlob{b.Size, data}
	return d, nil
}

// Part implements bundle.Receiver.
func (p *planning) Part(context.Context, bundle.BlobEntry, int64, bundle.Coming) error { return nil }

// End implements bundle.Receiver.
func (p *planning) End(context.Context, bundle.Head) error { return nil }

func (p *planning) abandon(context.Context) {}

// complete implements taker: volumes may have come before.
func (p *planning) complete(ctx context.Context, r *bundle.Reception) error {
	h := r.Head()
	if h.Volume == nil {
		return r.Complete()
	}
	if len(r.Volumes()) == h.Volume.Of {
		return r.Complete()
	}
	if p.im.store == nil {
		return (&volumes{im: p.im, bundle: h.Volume.Bundle, of: h.Volume.Of}).missing(ctx, r, 1)
	}
	return (&volumes{im: p.im, bundle: h.Volume.Bundle, of: h.Volume.Of}).complete(ctx, r)
}

// ReaderAt implements content.Provider.
func (p *planning) ReaderAt(ctx context.Context, desc oci.Descriptor) (content.ReaderAt, error) {
	if k, ok := p.kept[desc.Digest]; ok {
		return beginning{bytes.NewReader(k.data), k.size}, nil
	}
	if p.im.store == nil {
		return nil, fmt.Errorf("%s: %w", desc.Digest, content.ErrNotFound)
	}
	return p.im.store.ReaderAt(ctx, desc)
}

// beginning is a blob of which only the first bytes are there.
type beginning struct {
	*bytes.Reader
	size int64
}

// Size implements content.ReaderAt.
func (b beginning) Size() int64 { return b.size }

// Close implements content.ReaderAt.
func (b beginning) Close() error { return nil }
