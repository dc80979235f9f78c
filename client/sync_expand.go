package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// syncBase is where the names of a sync's targets begin.
type syncBase struct {
	host, prefix string // prefix is "" or ends in "/"
	withHost     bool
}

// parseSyncBase reads REGISTRY[/PREFIX].
func parseSyncBase(s string, withHost bool) (syncBase, error) {
	s = strings.TrimSuffix(s, "/")
	host, prefix, more := strings.Cut(s, "/")
	ref, err := oci.ParseRepository(s + "/x")
	if err != nil || ref.Registry != host {
		err = fmt.Errorf("target %q: %w: want REGISTRY or REGISTRY/PREFIX, the registry with a dot or a port, or localhost", s, content.ErrInvalid)
		return syncBase{}, withoutScheme(s, "HOST or HOST/PREFIX", err)
	}
	if more {
		prefix += "/"
	}
	return syncBase{host, prefix, withHost}, nil
}

// name is the target of a source.
func (b syncBase) name(src oci.Reference) (oci.Reference, error) {
	path := src.Repository
	if b.withHost {
		path = strings.ToLower(strings.ReplaceAll(src.Registry, ":", "_")) + "/" + path
	}
	to, err := oci.ParseRepository(b.host + "/" + b.prefix + path)
	if err != nil {
		return to, err
	}
	if src.Tag != "" {
		return to.WithTag(src.Tag)
	}
	return to.WithDigest(src.Digest), nil
}

// expand makes items of the entries: one for each reference and locator, one for
// each tag that a glob or a range picks.
func (r *syncRun) expand(ctx context.Context, entries []ListEntry) error {
	for _, e := range entries {
		if e.Platform == nil {
			e.Platform = r.o.Platform
		}
		if err := r.expandOne(ctx, e); err != nil {
			err = e.at(err)
			r.blind = true
			if err := r.fail(ctx, nil, e.Word, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *syncRun) expandOne(ctx context.Context, e ListEntry) error {
	sel, ok, err := parseSelector(e.Word)
	if err != nil {
		return err
	}
	if ok {
		return r.expandTags(ctx, e, sel)
	}
	l, err := r.c.Locate(e.Word)
	if err != nil {
		return err
	}
	if l.Transport == TransportRegistry {
		l.Place = l.Reference.String()
		return r.add(&syncItem{ListEntry: e, where: l}, l.Reference)
	}
	it := &syncItem{ListEntry: e, where: l}
	if it.src, err = r.c.source(ctx, l); err != nil {
		return err
	}
	name, _, err := it.src.Image(ctx)
	if err == nil && name == (oci.Reference{}) {
		err = content.WithHint(fmt.Errorf("%s: %w: nobody says what the image is called", l, content.ErrInvalid), "`dist copy` takes a name for it")
	}
	if err != nil {
		return errors.Join(err, it.src.Close())
	}
	return r.add(it, name)
}

// expandTags adds the tags that sel picks.
func (r *syncRun) expandTags(ctx context.Context, e ListEntry, sel selector) error {
	picked, err := r.tags.pick(ctx, e, sel)
	if err != nil {
		return err
	}
	for _, one := range picked {
		if err := r.add(&syncItem{ListEntry: one.ListEntry, where: one.where}, one.where.Reference); err != nil {
			return err
		}
	}
	return nil
}

// add takes an item in. What stands in the selection twice is one; two sources on
// one name are refused.
func (r *syncRun) add(it *syncItem, src oci.Reference) error {
	var err error
	if it.name, err = r.base.name(src); err != nil {
		return fmt.Errorf("%s: %w", it.Word, err)
	}
	first := r.byName[it.name.String()]
	if first == nil {
		r.byName[it.name.String()] = it
		r.items = append(r.items, it)
		return nil
	}
	if it.src != nil {
		_ = it.src.Close() // it was only read
	}
	if first.where == it.where && oci.FormatPlatform(first.Platform) == oci.FormatPlatform(it.Platform) {
		return nil
	}
	return content.WithHint(fmt.Errorf("%s: %w: %s and %s both go there", it.name, content.ErrInvalid, first.Word, it.Word),
		"--with-host keeps hosts apart; else sync them to different prefixes")
}
