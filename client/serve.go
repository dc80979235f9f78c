package client

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"dist.example/content"
	"dist.example/registryserver"
)

// ServeOptions direct Serve.
type ServeOptions struct {
	Addr     string // host:port to listen on, port 0 takes a free one; or unix:PATH
	Writable bool   // takes pushes too
	Prefix   string // the host that repositories without one belong to, "" is docker.io
	// Keep is how long what was pushed is kept while it has no name, 0 for a week.
	Keep   time.Duration
	Access AccessOptions
	// TLS names the certificate to show, none for plain HTTP.
	TLS registryserver.TLSFiles
	// Limits bound what clients can take.
	Limits registryserver.Limits
	// Drain is how long requests under way may go on after the end, see
	// registryserver.Run.
	Drain time.Duration
	// Mirror are registries that the server stands for, each HOST or HOST=URL: what is
	// asked for below HOST is fetched from there, or from the registry at URL, and kept.
	Mirror []string
	// Revalidate is how long what a mirrored tag stands for is not asked again.
	Revalidate time.Duration
	Log        *slog.Logger
	// Version is the program's, for /metrics.
	Version string
	// Place is a layout or an archive that is served in the store's place, "" for the
	// store. It is not written: with Writable or Mirror it is refused (ErrInvalid).
	Place string
	// Verify has all of Place read and hashed first: ErrCorrupt when it is damaged.
	Verify bool
	// NoPage leaves out what browsers are shown: the registry's API is all there is.
	NoPage bool
	// Ready is told the address once connections are accepted.
	Ready func(addr net.Addr)
}

// Serve serves the store, or a place, as a registry until ctx ends, which is no error.
// A store that does not exist is made if it is to be written, or to keep what is
// mirrored.
//
// Where there is a policy, a tag that is pushed needs what it asks for; the manifest
// itself, and what is about it, can be pushed before. Signatures count that are in the
// repository of the tag. What is mirrored is for clients to judge.
//
// Errors: ErrConflict when the address is taken, ErrDenied when it may not be used,
// ErrInvalid for a prefix, users, rules and mirrors that make no sense; those of
// bundle.OpenLibrary and registryserver.LoadCertificates.
func (c *Client) Serve(ctx context.Context, o ServeOptions) error {
	if err := checkPrefix(&o); err != nil {
		return err
	}
	gate, err := c.gate(o.Access, o.Prefix, o.Writable)
	if err != nil {
		return err
	}
	servers, err := parseMirrors(o.Mirror)
	if err != nil {
		return err
	}
	lib, done, err := c.served(ctx, o)
	if err != nil {
		return err
	}
	defer done()
	setNames, err := c.naming(lib)
	if err != nil {
		return err
	}
	upstream, stop, err := c.upstream(lib, servers, o)
	if err != nil {
		return err
	}
	defer stop()
	certs, err := c.certificates(o)
	if err != nil {
		return err
	}
	ln, err := c.listen(ctx, o)
	if err != nil {
		return err
	}
	if o.Ready != nil {
		o.Ready(ln.Addr())
	}
	h := registryserver.New(lib, registryserver.Options{
		Writable: o.Writable, Prefix: o.Prefix, Keep: o.Keep, Gate: gate, Upstream: upstream, SetNames: setNames,
		Pages: pagesOver(lib, gate, o), Log: o.Log,
		Warn: c.opts.Warn, Limits: o.Limits, Certificates: certs, Version: o.Version,
	})
	return registryserver.Serve(ctx, ln, h, registryserver.Run{Certificates: certs, Drain: o.Drain, Log: o.Log, Warn: c.opts.Warn})
}

// checkPrefix refuses a prefix that no name can begin with: nothing could be pulled.
func checkPrefix(o *ServeOptions) error {
	if o.Prefix == "" {
		return nil
	}
	ref, err := parseRegistry(o.Prefix)
	if err == nil && ref.Repository != "" {
		err = fmt.Errorf("%q: %w: want the host alone", o.Prefix, content.ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("prefix: %w", err)
	}
	o.Prefix = ref.Registry
	return nil
}
