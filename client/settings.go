package client

import (
	"context"

	"dist.example/blobstore"
)

// Settings are what a store is told to do; see package blobstore.
type Settings = blobstore.Settings

// DefaultSettings are those of a store that was told nothing.
func DefaultSettings() Settings { return blobstore.DefaultSettings() }

// SetSettings lets change do what it wants with the store's settings, and returns what
// they are then. Errors: ErrNoStore, ErrInvalid for a value that none can be.
func (c *Client) SetSettings(ctx context.Context, change func(*Settings)) (Settings, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return Settings{}, err
	}
	if err := s.SetSettings(ctx, change); err != nil {
		return Settings{}, err
	}
	return s.Settings(ctx)
}
