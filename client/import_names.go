package client

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"dist.example/bundle"
	"dist.example/content"
	"dist.example/oci"
)

// renaming lets names that begin with old begin with new.
type renaming struct{ old, new string }

// parseRenamings reads OLD=NEW, and orders them, the longest first.
func parseRenamings(words []string) ([]renaming, error) {
	var all []renaming
	for _, w := range words {
		old, new, ok := strings.Cut(w, "=")
		if !ok || old == "" || new == "" {
			return nil, content.WithHint(fmt.Errorf("--map %q: %w: want OLD=NEW", w, content.ErrInvalid),
				"for example quay.io/team=registry.site/team")
		}
		if slices.ContainsFunc(all, func(r renaming) bool { return r.old == old }) {
			return nil, fmt.Errorf("--map %q: %w: %s is mapped twice", w, content.ErrInvalid, old)
		}
		all = append(all, renaming{old, new})
	}
	slices.SortStableFunc(all, func(a, b renaming) int { return cmp.Compare(len(b.old), len(a.old)) })
	return all, nil
}

// replaces says what becomes of name, a full one: false where r is not about it. Old names
// may be written as people write them, without docker.io/library.
func (r renaming) replaces(name string) (string, bool) {
	olds := []string{r.old}
	if ref, err := oci.ParseReference(r.old); err == nil {
		full := ref.Name()
		if ref.Tag != "" && strings.HasSuffix(r.old, ":"+ref.Tag) || ref.Digest != "" {
			full = ref.String()
		}
		olds = append(olds, full)
	}
	for _, old := range olds {
		rest, ok := strings.CutPrefix(name, old)
		if ok && (rest == "" || strings.ContainsRune("/:@", rune(rest[0])) || strings.HasSuffix(old, "/")) {
			return r.new + rest, true
		}
	}
	return "", false
}

// list finds out what the images are called, here.
func (im *imports) list(ctx context.Context) error {
	byName := map[oci.Reference]*imported{}
	images, err := im.in.Images(ctx)
	if err != nil {
		return im.found(err)
	}
	for _, found := range images {
		i := &imported{IncomingImage: found}
		if i.name, err = im.rename(found); err != nil {
			return err
		}
		if first := byName[i.name]; first != nil && i.name != (oci.Reference{}) {
			if first.Target.Digest == i.Target.Digest {
				continue
			}
			return fmt.Errorf("name %s: %w: %s and %s would both be called that", i.name, content.ErrInvalid, first.Target.Digest, i.Target.Digest)
		}
		byName[i.name] = i
		im.images = append(im.images, i)
	}
	if len(im.images) == 0 {
		return fmt.Errorf("import %s: %w: it lists no image", im.places[0], content.ErrNotFound)
	}
	return im.allMapped()
}

// rename is what an image is called in the store, zero for one without a name.
func (im *imports) rename(i bundle.IncomingImage) (oci.Reference, error) {
	for _, r := range im.names {
		if i.Name != (oci.Reference{}) {
			name, ok := r.replaces(i.Name.String())
			if !ok {
				continue
			}
			ref, err := oci.ParseReference(name)
			if err != nil {
				return ref, fmt.Errorf("--map %s=%s: %w", r.old, r.new, err)
			}
			return ref.Local(), nil
		}
		if r.old == i.Tag || strings.TrimPrefix(r.old, "@") == i.Target.Digest.String() {
			return oci.ParseReference(r.new)
		}
	}
	return i.Name, nil
}

// allMapped refuses a renaming that is about no image: it is a slip of the pen.
func (im *imports) allMapped() error {
	for _, r := range im.names {
		about := func(i *imported) bool {
			if i.Name == (oci.Reference{}) {
				return r.old == i.Tag || strings.TrimPrefix(r.old, "@") == i.Target.Digest.String()
			}
			_, ok := r.replaces(i.Name.String())
			return ok
		}
		if !slices.ContainsFunc(im.images, about) {
			var labels []string
			for _, i := range im.images {
				labels = append(labels, i.Label())
			}
			return content.WithHint(fmt.Errorf("--map %s=%s: %w: no image is called that", r.old, r.new, content.ErrNotFound), "there are %s", fewOf(labels))
		}
	}
	return nil
}

// joined lists words.
func joined(words []string) string { return strings.Join(words, ", ") }
