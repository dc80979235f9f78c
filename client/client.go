package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"dist.example/blobstore"
	"dist.example/budgets"
	"dist.example/content"
	"dist.example/registryclient"
	"dist.example/sign"
)

// Options configure a Client.
type Options struct {
	// Store is the store's folder. Verbs that need none work without.
	Store string
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
}

// Client runs verbs. It is safe for concurrent use.
type Client struct {
	opts Options

	heals  sync.Mutex // one at a time
	mu     sync.Mutex
	store  *blobstore.Store
	remote *registryclient.Client
	limits *budgets.Set
	policy *sign.Policy // once it was read
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
	return &Client{opts: o}
}

// hook names a point that a test may stop at.
func (c *Client) hook(point string) { c.opts.Hook(point) }

// Close closes the store if it was opened, and gives up connections. Idempotent.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.remote != nil {
		c.remote.CloseIdle()
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
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.remote != nil {
		return c.remote, nil
	}
	o := c.registryOptions()
	limits, err := budgets.New(budgets.Options{Limits: c.opts.Limits, Dirs: c.budgetDirs, Warn: o.Warn})
	if err != nil {
		return nil, err
	}
	o.Budgets = limits
	r, err := registryclient.New(o)
	if err != nil {
		return nil, err
	}
	c.remote, c.limits = r, limits
	return r, nil
}
