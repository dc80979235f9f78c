package client

import (
	"context"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// EachName calls fn for the names that begin with prefix in their full form, in order,
// until it says that it wants no more. See blobstore.Store.EachName.
func (c *Client) EachName(ctx context.Context, prefix string, fn func(content.Name) bool) error {
	s, err := c.Open(ctx)
	if err != nil {
		return err
	}
	return s.EachName(ctx, prefix, fn)
}

// Hosts lists the hosts that names of the store begin with, in order.
func (c *Client) Hosts(ctx context.Context) ([]string, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	return s.Hosts(ctx)
}

// Beginning lists up to limit objects of the store whose hash begins with hex digits, in
// order; none given are all.
func (c *Client) Beginning(ctx context.Context, hex string, limit int) ([]content.Info, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	ds, err := s.Search(ctx, hex, limit)
	if err != nil {
		return nil, err
	}
	infos, err := s.Infos(ctx, ds...)
	var found []content.Info
	for _, d := range ds {
		if info, ok := infos[d]; ok {
			found = append(found, info)
		}
	}
	return found, err
}

// PlatformsOf lists the platforms of what a word means in the store, as Lookup finds it;
// none for what has none.
func (c *Client) PlatformsOf(ctx context.Context, word string) ([]PlatformState, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	desc, err := peek(ctx, s, word)
	if err != nil {
		return nil, err
	}
	return platformsOf(ctx, s, desc)
}

// Familiar is a name as people write it, without what Docker's rules add by themselves:
// redis:7 for docker.io/library/redis:7. ParseReference takes it for the same name; what
// it would take for another one then is given in full. Lists are made of it, so that
// nothing is parsed.
func Familiar(name oci.Reference) string {
	full := name.String()
	if name.Registry != oci.DockerHub {
		return full
	}
	first, rest, deeper := strings.Cut(name.Repository, "/")
	switch {
	case !deeper:
		return full // no name that ParseReference gives
	case first == "library" && !strings.Contains(rest, "/"):
		if len(rest) == 64 || rest == "sha256" || rest == "sha512" {
			return full // it may read as a digest
		}
		return full[len(oci.DockerHub+"/library/"):]
	case first == "library" || first == "localhost" || strings.ContainsAny(first, ".:"):
		return full
	}
	return full[len(oci.DockerHub+"/"):]
}
