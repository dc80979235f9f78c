package client

import (
	"context"

	"dist.example/content"
	"dist.example/gc"
	"dist.example/oci"
)

// Usage is what a name takes.
type Usage = gc.Usage

// Usages finds what names take on disk; without words, all of them, in order. Errors:
// ErrNotFound for what is no name here, ErrNoStore.
func (c *Client) Usages(ctx context.Context, words ...string) ([]Usage, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(words))
	for i, word := range words {
		ref, err := oci.ParseReference(word)
		if err != nil {
			return nil, err
		}
		names[i] = ref.Local().String()
	}
	o, err := asTold(ctx, s)
	if err != nil {
		return nil, err
	}
	all, err := gc.Usages(ctx, s, o)
	if err != nil || len(words) == 0 {
		return all, err
	}
	byName := map[string]Usage{}
	for _, u := range all {
		byName[u.Name] = u
	}
	found := make([]Usage, len(words))
	for i, name := range names {
		u, ok := byName[name]
		if !ok {
			absent := &AbsentName{Name: name, List: "`dist du` lists all names"}
			return nil, content.WithHint(absent, "%s", absent.List)
		}
		found[i] = u
	}
	return found, nil
}
