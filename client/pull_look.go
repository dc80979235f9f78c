package client

import (
	"context"
	"errors"
	"fmt"

	"dist.example/content"
	"dist.example/oci"
)

// look resolves all images, and finds out what is left to do.
func (p *pull) look(ctx context.Context) error {
	byName := map[oci.Reference]*pulled{}
	for _, im := range p.images {
		if err := p.resolve(ctx, im); err != nil {
			return fmt.Errorf("pull %s: %w", im.Word, im.at(err))
		}
		if first := byName[im.name]; first != nil && first.desc.Digest != im.desc.Digest {
			return im.at(fmt.Errorf("name %s: %w: %s and %s would both be called that",
				im.name, content.ErrInvalid, first.Word, im.Word))
		}
		byName[im.name] = im
	}
	return nil
}

// resolve asks what a place has, in a registry with one request, and looks whether
// anything is left to do. For a digest that is here whole nobody is asked.
func (p *pull) resolve(ctx context.Context, im *pulled) (err error) {
	if held, ok, err := p.known(ctx, im); err != nil || ok {
		im.desc = held
		if err != nil {
			return err
		}
	} else if err := p.ask(ctx, im); err != nil {
		return err
	}
	if im.name == (oci.Reference{}) {
		return content.WithHint(fmt.Errorf("%w: nobody says what the image is called", content.ErrInvalid), "give it a name with --as NAME")
	}
	im.needed, im.look = true, p.o.Referrers != ReferrersNone
	if p.store == nil {
		return nil
	}
	n, err := p.store.Name(ctx, im.name)
	if err != nil && !errors.Is(err, content.ErrNotFound) {
		return err
	}
	if im.old = n.Target.Digest; im.old != im.desc.Digest || p.o.Verify {
		return nil
	}
	here, size, err := p.complete(ctx, im.wanted, im.desc)
	if err != nil || !here {
		return err
	}
	im.needed, im.size = false, size
	if im.look, err = p.lookDue(ctx, im); err != nil || im.look {
		return err
	}
	p.stats.ReusedBytes += size
	p.stats.ReusedBlobs++
	p.c.opts.Observe(content.Event{Kind: content.EventReused, Descriptor: im.desc, Offset: im.desc.Size, Total: im.desc.Size})
	return nil
}

// known is the descriptor of an image that is asked for by its digest and is here,
// with all that is wanted of it.
func (p *pull) known(ctx context.Context, im *pulled) (desc oci.Descriptor, ok bool, err error) {
	d := im.where.Reference.Digest
	if d == "" || p.store == nil || p.o.Verify {
		return desc, false, nil
	}
	info, err := p.store.Info(ctx, d)
	if errors.Is(err, content.ErrNotFound) || err == nil && (info.Place == "damaged" || !oci.HasSuccessors(info.MediaType)) {
		return desc, false, nil
	}
	if err != nil {
		return desc, false, err
	}
	here, _, err := p.complete(ctx, im.wanted, info.Descriptor())
	if errors.Is(err, content.ErrNotFound) { // no image for the platform: the registry's word counts
		return desc, false, nil
	}
	return info.Descriptor(), here, err
}

// ask opens an image's place and asks what is there.
func (p *pull) ask(ctx context.Context, im *pulled) error {
	if err := p.open(ctx, im); err != nil {
		return err
	}
	name, desc, err := im.src.Image(ctx)
	if err != nil {
		return err
	}
	if im.desc = desc; im.name == (oci.Reference{}) {
		im.name = name.Local()
	}
	return nil
}

func (p *pull) open(ctx context.Context, im *pulled) (err error) {
	switch {
	case im.src != nil:
	case im.where.Transport == TransportBundle:
		im.src, err = p.bundles.source(ctx, im.where.Place)
	default:
		im.src, err = p.c.source(ctx, im.where)
	}
	return err
}

// complete says whether everything that is wanted of desc is here, and how many
// bytes that is.
func (p *pull) complete(ctx context.Context, of Platforms, desc oci.Descriptor) (bool, int64, error) {
	missing, err := p.store.Missing(ctx, desc.Digest)
	if err != nil || len(missing) > 0 {
		return false, 0, err
	}
	held, _, err := p.store.Reach(ctx, desc.Digest)
	if err != nil || !oci.IsIndex(desc.MediaType) {
		return err == nil, held, err
	}
	data, err := content.ReadAll(ctx, p.store, desc, oci.MaxManifestSize)
	if err != nil {
		return false, 0, nil // it comes again
	}
	edges, err := oci.Successors(desc.MediaType, data)
	if err != nil {
		return false, 0, nil
	}
	wanted, err := of.children(desc, edges)
	if err != nil {
		return false, 0, err
	}
	for _, e := range wanted {
		if e.Role == oci.RoleSubject {
			continue
		}
		if here, _, err := p.complete(ctx, of, e.Descriptor); err != nil || !here {
			return false, 0, err
		}
	}
	return true, held, nil
}
