package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"dist.example/content"
)

// served opens what is to be served. done gives it up.
func (c *Client) served(ctx context.Context, o ServeOptions) (lib content.Library, done func(), err error) {
	if o.Place != "" {
		return c.servedPlace(ctx, o)
	}
	open, writes := c.Open, o.Writable || len(o.Mirror) > 0
	if writes {
		open = c.Init
	}
	s, err := open(ctx)
	if err != nil {
		return nil, nil, err
	}
	if writes && s.ReadOnly() {
		return nil, nil, fmt.Errorf("serve %s: %w: the store can only be read", s.Dir(), content.ErrDenied)
	}
	return s, func() {}, nil
}

// servedPlace opens a layout or an archive, and reads all of it where that is asked
// for.
func (c *Client) servedPlace(ctx context.Context, o ServeOptions) (content.Library, func(), error) {
	if o.Writable || len(o.Mirror) > 0 {
		return nil, nil, fmt.Errorf("serve %s: %w: layouts and archives are served as they are, not written", o.Place, content.ErrInvalid)
	}
	l, err := c.openLibrary(ctx, o.Place)
	if err != nil {
		return nil, nil, err
	}
	if o.Verify {
		if err := l.Verify(ctx, c.opts.Observe); err != nil {
			_ = l.Close()
			return nil, nil, err
		}
	}
	return l, func() { _ = l.Close() }, nil
}

// withoutStore adds to err, about the folder at path, how a store is served.
func withoutStore(path string, err error) error {
	if _, serr := os.Stat(filepath.Join(path, "store.json")); serr != nil || !errors.Is(err, content.ErrNotFound) {
		return err
	}
	return content.WithHint(fmt.Errorf("%s: %w: it is a store, not a layout", path, content.ErrInvalid),
		"--store %s names it", path)
}
