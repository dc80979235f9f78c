package client

import (
	"context"

	"dist.example/content"
	"dist.example/oci"
)

// Pin keeps names from ever being given up to make room: all of them or, with an
// error, none. Errors: ErrNotFound for a name that is not there, ErrNoStore.
func (c *Client) Pin(ctx context.Context, names ...string) error {
	return c.setPinned(ctx, true, names)
}

// Unpin takes that back, in the same way.
func (c *Client) Unpin(ctx context.Context, names ...string) error {
	return c.setPinned(ctx, false, names)
}

func (c *Client) setPinned(ctx context.Context, pinned bool, names []string) error {
	s, err := c.Open(ctx)
	if err != nil {
		return err
	}
	refs := make([]oci.Reference, len(names))
	for i, name := range names {
		if refs[i], err = oci.ParseReference(name); err != nil {
			return content.WithHint(err, "names are pinned (`dist images` lists them)")
		}
	}
	return s.SetPinned(ctx, pinned, refs...)
}
