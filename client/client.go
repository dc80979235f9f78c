package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"dist.example/blobstore"
	"dist.example/budgets"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/registryclient"
	"dist.example/sign"
)

// Options configure a Client.
type Options struct {
	// Store is the store's folder. Verbs that need none work without.
	Store string
	// Glance has the store looked at for as long as that costs no wait, and never
	// changed: see blobstore.Options.
	Glance bool
	// Registry holds what the registry client goes by: files, time-outs, TLS.
	Registry registryclient.Options
	// Limits are kept together with the other processes of the store, or of the user
	// where there is no store.
	Limits budgets.Limits
	// Trust says whose signatures count, and where keys are.
	Trust TrustOptions
	// Jobs bounds the blobs moved at once, 0 means content.DefaultJobs.
	Jobs int
	// Epoch is the instant of SOURCE_DATE_EPOCH, which the members of archives get;
	// the zero Time stands for 1970.
	Epoch time.Time
	// Observe is told of progress, from several goroutines; nil is fine.
	Observe content.Observer
	// Warn is told what a person should know, in a line each; nil is fine.
	Warn func(string)
	// FreeBytes is for tests, see blobstore.Options.
	FreeBytes func(dir string) (uint64, error)
	// Hook is for tests, see blobstore.Options.
	Hook func(point string)
	// FS is for tests, see blobstore.Options: what lies under the packs and ingests of
	// the store. Archives and other files are the operating system's.
	FS fsys.FS
}

// Client runs verbs. It is safe for concurrent use.
type Client struct {
	opts Options

	heals  heals
	mu     sync.Mutex
	store  *blobstore.Store
	remote *registryclient.Client
	// memory asks the places that the store remembers, for Repair, and reader does so
	// for a reader that waits.
	memory, reader *registryclient.Client
	limits         *budgets.Set
	policy         *sign.Policy // once it was read
}

// New returns a client; it opens nothing yet. The caller closes it.
func New(o Options) *Client {
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.Observe == nil {
		o.Observe = func(content.Event) {}
	}
	if o.Hook == nil {
		o.Hook = func(string) {}
	}
	return &Client{opts: o, heals: newHeals()}
}

// hook names a point that a test may stop at.
func (c *Client) hook(point string) { c.opts.Hook(point) }

// Close closes the store if it was opened, and gives up connections. Idempotent.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.registries() {
		r.CloseIdle()
	}
	err := c.limits.Close()
	c.warnOfLowSpace()
	if c.store != nil {
		err = errors.Join(err, c.store.Close())
		c.store = nil
	}
	return err
}

// Open opens the store for reading, ErrNoStore when there is none. It belongs to
// the client.
func (c *Client) Open(ctx context.Context) (*blobstore.Store, error) { return c.openStore(ctx, false) }

// Init makes the store if there is none, and opens it.
func (c *Client) Init(ctx context.Context) (*blobstore.Store, error) { return c.openStore(ctx, true) }

func (c *Client) openStore(ctx context.Context, create bool) (*blobstore.Store, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.store != nil {
		return c.store, nil
	}
	s, err := blobstore.Open(ctx, c.opts.Store, blobstore.Options{
		Create: create, Warn: c.opts.Warn, Hook: c.opts.Hook, FreeBytes: c.opts.FreeBytes,
		FS: c.opts.FS, Glance: c.opts.Glance,
	})
	if err != nil {
		return nil, err
	}
	c.store = s
	return s, nil
}

// registryOptions are those of every registry client, but for limits.
func (c *Client) registryOptions() registryclient.Options {
	o := c.opts.Registry
	if o.Warn == nil {
		o.Warn = c.opts.Warn
	}
	if o.Notice == nil {
		o.Notice = c.opts.Warn
	}
	return o
}

// registry returns the registry client, made at the first use.
func (c *Client) registry() (*registryclient.Client, error) {
	return c.registryIn(&c.remote, c.registryOptions())
}

// healTimeout is how long a reader that has met damage waits for a registry to
// connect, to answer, or to go on.
const healTimeout = 5 * time.Second

// remembered returns the registry client for places that a store remembers and nobody
// has named: what was said to reach those that were named, with less care than usual,
// does not count there. In a hurry, silence is not waited for, and nothing is tried
// again.
func (c *Client) remembered(hurry bool) (*registryclient.Client, error) {
	o := c.registryOptions()
	o.PlainHTTP, o.Insecure, o.AuthFile = false, false, ""
	if !hurry {
		return c.registryIn(&c.memory, o)
	}
	o.Retries, o.StallTimeout = -1, healTimeout
	return c.registryIn(&c.reader, o)
}

// registryIn is the registry client in place, made at the first use. All of them keep
// the same limits.
func (c *Client) registryIn(place **registryclient.Client, o registryclient.Options) (*registryclient.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *place != nil {
		return *place, nil
	}
	if c.limits == nil {
		limits, err := budgets.New(budgets.Options{Limits: c.opts.Limits, Dirs: c.budgetDirs, Warn: o.Warn})
		if err != nil {
			return nil, err
		}
		c.limits = limits
	}
	o.Budgets = c.limits
	r, err := registryclient.New(o)
	if err != nil {
		return nil, err
	}
	*place = r
	return r, nil
}

// registries are the registry clients that were made. The caller holds c.mu.
func (c *Client) registries() (made []*registryclient.Client) {
	for _, r := range []*registryclient.Client{c.remote, c.memory, c.reader} {
		if r != nil {
			made = append(made, r)
		}
	}
	return made
}
