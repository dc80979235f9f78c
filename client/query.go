package client

import (
	"context"

	"dist.example/blobstore"
	"dist.example/schema"
)

// QueryOptions bound a query.
type QueryOptions = blobstore.QueryOptions

// Query answers text, one SELECT over Views and nothing else, from the store's
// catalog, which it never changes. The caller closes the answer.
//
// Errors: ErrInvalid for any other text, ErrUnavailable after o.Timeout, ErrNoStore.
func (c *Client) Query(ctx context.Context, text string, o QueryOptions) (*blobstore.Rows, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	return s.Query(ctx, text, o)
}

// Views are what Query can be asked about. No store is needed.
func (c *Client) Views() []schema.View { return schema.Views() }
