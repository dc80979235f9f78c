package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// choose finds the images that were asked for.
func (e *export) choose(ctx context.Context, names []string) error {
	if len(names)+len(e.o.List) == 0 && !e.o.All {
		return e.told(fmt.Errorf("%w: neither a name nor a list is given", content.ErrInvalid))
	}
	if e.o.All {
		if err := e.chooseAll(ctx); err != nil {
			return err
		}
	}
	for _, entry := range slices.Concat(words(names), e.o.List) {
		if err := e.chooseOne(ctx, entry); err != nil {
			return fmt.Errorf("export %s: %w", entry.Word, entry.at(err))
		}
	}
	slices.SortFunc(e.images, func(a, b ExportedImage) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Target.Digest, b.Target.Digest))
	})
	return nil
}

// chooseAll takes every name that stands for a manifest.
func (e *export) chooseAll(ctx context.Context) error {
	any := false
	for n, err := range e.c.Names(ctx, NameFilter{}) {
		if err != nil {
			return err
		}
		if !oci.HasSuccessors(n.Target.MediaType) {
			e.c.opts.Warn(fmt.Sprintf("%s is left out: it stands for %s, and bundles list manifests only", n.Reference, n.Target.MediaType))
			continue
		}
		any = true
		if err := e.take(ctx, n.Reference, n.Target, ListEntry{}); err != nil {
			return fmt.Errorf("export %s: %w", n.Reference, err)
		}
		e.used = append(e.used, n.Reference)
	}
	if !any {
		return e.told(content.WithHint(fmt.Errorf("%w: no image has a name here", content.ErrNotFound), "`dist pull` brings some"))
	}
	return nil
}

// chooseOne takes what an entry names.
func (e *export) chooseOne(ctx context.Context, entry ListEntry) error {
	word := strings.TrimPrefix(strings.TrimPrefix(entry.Word, TransportRegistry+"://"), TransportStore+":")
	if d, err := oci.ParseDigest(word); err == nil {
		return e.takeNameless(ctx, d, entry.Where)
	}
	ref, when, err := parseNamed(word)
	if err != nil {
		return err
	}
	desc, err := resolveNamed(ctx, e.store, ref, when)
	if err != nil {
		if entry.Where != "" && errors.Is(err, content.ErrNotFound) {
			err = content.WithHint(err, "only what is in the store is exported: `dist pull --from` brings what a list names")
		}
		return err
	}
	if !oci.HasSuccessors(desc.MediaType) {
		return notExportable(desc)
	}
	e.used = append(e.used, ref)
	name := ref
	if name.Tag != "" { // a lock says both
		name.Digest = ""
	}
	return e.take(ctx, name, desc, entry)
}

// takeNameless takes an image that its digest alone says.
func (e *export) takeNameless(ctx context.Context, d oci.Digest, where string) error {
	info, err := e.store.Info(ctx, d)
	if err != nil {
		return err
	}
	if !oci.HasSuccessors(info.MediaType) {
		return notExportable(info.Descriptor())
	}
	if slices.ContainsFunc(e.images, func(i ExportedImage) bool { return i.Target.Digest == d }) {
		return nil
	}
	e.images = append(e.images, ExportedImage{Target: info.Descriptor(), Where: where})
	return nil
}

func notExportable(desc oci.Descriptor) error {
	return content.WithHint(fmt.Errorf("%w: it is %s, and bundles list manifests only", content.ErrUnsupported, desc.MediaType),
		"`dist pack` makes an image of layers")
}

// take adds an image under a name, unless it is there already: for the platform that the
// entry says, else for that of all. Errors: ErrInvalid when the name stands for another.
func (e *export) take(ctx context.Context, name oci.Reference, desc oci.Descriptor, entry ListEntry) (err error) {
	platform := cmp.Or(entry.Platform, e.o.Platform)
	if platform != nil && oci.IsIndex(desc.MediaType) {
		if desc, err = selectImage(ctx, e.store, desc, Platforms{Only: platform}); err != nil {
			return err
		}
	}
	for _, other := range e.images {
		if other.ref == name {
			if other.Target.Digest != desc.Digest {
				return content.WithHint(fmt.Errorf("%w: the name is given twice, for %s and for %s", content.ErrInvalid, other.Target.Digest, desc.Digest),
					"without a platform all images of an index go along that are here")
			}
			return nil
		}
	}
	if _, err := e.store.Info(ctx, desc.Digest); err != nil {
		return content.WithHint(err, "pull that platform first")
	}
	desc = oci.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size, Platform: desc.Platform}
	e.images = append(e.images, ExportedImage{Name: name.String(), ref: name, Target: desc, Where: entry.Where})
	return nil
}

// collect walks the images and what is about them.
func (e *export) collect(ctx context.Context) error {
	e.cargo = newCollector(e.store)
	manifests := &content.Manifests{}
	for i := range e.images {
		im := &e.images[i]
		im.Held, im.Known = 0, 0
		_, err := content.Copy(ctx, e.cargo, unread{e.store}, im.Target, content.CopyOptions{
			Jobs: e.c.opts.Jobs, Referrers: !e.o.NoReferrers, Warn: e.c.opts.Warn, Manifests: manifests,
			Children: func(parent oci.Descriptor, edges []oci.Edge) ([]oci.Edge, error) {
				return e.children(ctx, im, parent, edges)
			},
		})
		if err != nil {
			return fmt.Errorf("export %s: %w", im, err)
		}
		if !oci.IsIndex(im.Target.MediaType) {
			im.Held, im.Known = 1, 1
		}
		if im.Held < im.Known {
			if e.o.Form == ExportDocker {
				return content.WithHint(fmt.Errorf("export %s: %w in Docker's archives: an index of which %d of %d images are here", im, content.ErrUnsupported, im.Held, im.Known),
					"choose one with --platform")
			}
			e.c.opts.Warn(fmt.Sprintf("%s: %d of its %d images are here, and go along", im, im.Held, im.Known))
		}
	}
	return nil
}

// children picks what goes along: all of an image, and of an index the images that are
// here.
func (e *export) children(ctx context.Context, im *ExportedImage, parent oci.Descriptor, edges []oci.Edge) (out []oci.Edge, err error) {
	var absent []string
	infos, err := e.cargo.look(ctx, edges)
	if err != nil {
		return nil, err
	}
	for _, edge := range edges {
		if oci.IsNonDistributable(edge.MediaType) {
			continue
		}
		here, err := e.here(ctx, parent, edge, infos)
		if err != nil {
			return nil, err
		}
		if edge.Role == oci.RoleManifest && !oci.IsAttestation(edge.Descriptor) {
			e.cargo.count(im, here)
		}
		switch {
		case here:
			out = append(out, edge)
		case edge.Role == oci.RoleManifest:
			e.cargo.lacks(edge.Digest)
		default:
			absent = append(absent, describeEdge(edge))
		}
	}
	if len(absent) > 0 || oci.IsIndex(parent.MediaType) && len(out) == 0 && len(edges) > 0 {
		if len(absent) == 0 {
			absent = []string{"any of its images"}
		}
		return nil, content.WithHint(
			fmt.Errorf("%s: %w in this store: %s", parent.Digest, content.ErrNotFound, strings.Join(absent, ", ")), "pull it first, with --all-platforms for all images of an index")
	}
	return out, nil
}

// here says whether the store has what a manifest lists, sound, with all below it. What
// is damaged is healed, or an error.
func (e *export) here(ctx context.Context, parent oci.Descriptor, edge oci.Edge, infos map[oci.Digest]content.Info) (bool, error) {
	info, ok := infos[edge.Digest]
	if !ok {
		return false, nil
	}
	if info.Place == "damaged" {
		return true, e.heal(ctx, edge.Digest)
	}
	if !oci.IsIndex(parent.MediaType) || edge.Role != oci.RoleManifest {
		return true, nil
	}
	lacking, err := e.store.Lacking(ctx, edge.Digest)
	return err == nil && !slices.ContainsFunc(lacking, func(l blobstore.Lack) bool { return l.Place == "absent" }), err
}

// heal brings what is damaged again, or says for a plan that it could be.
func (e *export) heal(ctx context.Context, d oci.Digest) error {
	if blobstore.Heals(ctx) && e.c.heal(blobstore.AsItIs(ctx), d) == nil || e.c.wouldHeal(ctx, e.store, d) {
		return nil
	}
	return content.WithHint(fmt.Errorf("%s: %w: it is damaged", d, content.ErrCorrupt), "`dist repair` fetches it again where it can be had")
}
