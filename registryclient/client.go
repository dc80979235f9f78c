package registryclient

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"dist.example/budgets"
	"dist.example/content"
	"dist.example/oci"
)

// Options configure a Client. The zero value is what the command line uses
// without flags.
type Options struct {
	// HostsDirs are folders with HOST/hosts.toml files, the first that has one for
	// a host decides. Nil means $XDG_CONFIG_HOME/dist/certs.d, then
	// /etc/containerd/certs.d; an empty, non-nil slice means none.
	HostsDirs []string
	// RegistriesConf are files in the format of containers-registries.conf(5),
	// version 2, for registries without a hosts.toml; a table of a later file
	// replaces one with the same prefix. Nil means what that manual page says: the
	// file that CONTAINERS_REGISTRIES_CONF names, or else the first of
	// $XDG_CONFIG_HOME/containers/registries.conf and
	// /etc/containers/registries.conf with its drop-ins. An empty, non-nil slice
	// means none.
	RegistriesConf []string
	// Servers are registries that are asked at another address: http:// or https://, a
	// host and perhaps a path before /v2; "" stands for the registry's own. For these,
	// neither hosts.toml nor registries.conf counts: whoever stands for a registry must
	// not be led to himself. Nothing is pushed to another address.
	Servers map[string]string
	// CertDirs are folders with HOST[:PORT]/{*.crt, *.cert, *.key}. Nil means
	// $XDG_CONFIG_HOME/containers/certs.d, /etc/containers/certs.d,
	// /etc/docker/certs.d; the first folder that exists for a host decides. Where
	// there is none, a folder of HostsDirs without a hosts.toml is as good.
	CertDirs []string
	// AuthFile is asked for credentials before the files of the environment.
	AuthFile string
	// NoAuthFiles leaves the files of the environment unread, so that only
	// AuthFile counts.
	NoAuthFiles bool
	// TokenHosts may be sent credentials when a registry of another domain names
	// them as its token server.
	TokenHosts []string
	// UserAgent goes into every request, "" means "dist".
	UserAgent string
	// PlainHTTP speaks HTTP to every registry for which hosts.toml says nothing; not
	// to mirrors, whose files say what they speak.
	PlainHTTP bool
	// Insecure accepts any TLS certificate, also of where registries redirect to.
	// Warn is told once for each host.
	Insecure bool
	// StallTimeout is how long an answer or a body may stand still, 0 means 20 s.
	StallTimeout time.Duration
	// MirrorTimeout bounds how long a mirror may take to be connected to, where
	// hosts.toml has no dial_timeout for it, and for its TLS handshake, each; three
	// times that, or StallTimeout if it is less, is what its first answer may take
	// in all. 0 means 3 s.
	MirrorTimeout time.Duration
	// Retries is how many times a request is tried again, 0 means 5, -1 none.
	Retries int
	// RetryBase is the first pause between tries, doubled each time and jittered;
	// 0 means 250 ms.
	RetryBase time.Duration
	// Window bounds parallel range requests.
	Window Window
	// Transport replaces the connections that the Client would make, and with them
	// every TLS setting. For tests.
	Transport http.RoundTripper
	// Offline refuses everything that would need the network, with ErrOffline:
	// nothing is sent, no connection made and no name looked up.
	Offline bool
	// Budgets limit bytes, requests and connections, together with other processes.
	// Bytes and requests count for the host that was asked, with what it redirects
	// to and the tokens for it; connections for the host that they lead to. Nil
	// limits nothing.
	Budgets *budgets.Set
	// Warn is told what the user may want to know and what is no error: a missing
	// credential helper, a mirror that does not answer, what a registry itself warns
	// of. It may be called from several goroutines. Nil discards.
	Warn func(msg string)
	// Notice is told, once, of a single wait that has lasted for 5 s: a pause
	// between tries, an answer or a body that does not come, an upload that is not
	// taken, a token. It says for whom and for what the wait is, and when it ends at
	// the latest. It may be called from several goroutines. Nil discards.
	Notice func(msg string)
}

// Window is the memory that large blobs are fetched through, shared by all
// fetches of a Client.
type Window struct {
	Segments     int   // 0 means 4
	SegmentBytes int64 // 0 means 4 MiB; blobs up to this size come in one request
	// Enough is the rate, in bytes a second and over all streams of a Repository, from
	// which on there is nothing to gain from more of them: the rest of the blob, and
	// the blobs after it, come in one request each. 0 means 100 MiB, -1 that no rate
	// is enough.
	Enough int64
}

// Stats counts what went over the wire since New. Bytes are those of bodies.
type Stats struct {
	Requests      int64 // to registries and where they redirected to
	TokenRequests int64
	BytesIn       int64
	BytesOut      int64
}

// Client talks to any number of registries and is for concurrent use. It holds
// idle connections until CloseIdle.
type Client struct {
	opts   Options
	creds  *credentialFiles
	budget *budget
	turns  turns
	// patience is how long a wait lasts before Notice is told, and thinking how long
	// a registry may take to answer a body that it has received whole, and for all of
	// an answer that is read whole.
	patience, thinking time.Duration

	mu         sync.Mutex
	routes     map[string]*route // by repository
	shared     map[string]*route // by route.key
	conf       *registriesConf   // nil before the first look
	transports []*http.Transport
	warned     map[string]bool // what registries warned of, and was passed on
	proxies    *proxies        // of the environment, nil before the first look

	said sync.Map // warnings that were given, by what they are about

	requests, tokenRequests, bytesIn, bytesOut atomic.Int64
}

// New makes a Client. It reads no file and sends nothing. Errors: ErrInvalid.
func New(opts Options) (*Client, error) {
	if opts.Window.Enough < -1 || opts.StallTimeout < 0 || opts.MirrorTimeout < 0 || opts.RetryBase < 0 || opts.Window.Segments < 0 || opts.Window.SegmentBytes < 0 {
		return nil, fmt.Errorf("registry client: %w: a negative timeout, pause or window", content.ErrInvalid)
	}
	if err := opts.checkServers(); err != nil {
		return nil, err
	}
	opts.fill()
	return &Client{
		opts:     opts,
		creds:    newCredentialFiles(opts),
		budget:   newBudget(opts.Window),
		patience: patience,
		thinking: answerTimeout,
		routes:   map[string]*route{},
		shared:   map[string]*route{},
		warned:   map[string]bool{},
	}, nil
}

// fill puts the documented defaults where nothing was said.
func (o *Options) fill() {
	config := xdgConfig()
	if o.HostsDirs == nil {
		o.HostsDirs = under(config, "dist/certs.d", "/etc/containerd/certs.d")
	}
	if o.CertDirs == nil {
		o.CertDirs = under(config, "containers/certs.d", "/etc/containers/certs.d", "/etc/docker/certs.d")
	}
	if o.UserAgent == "" {
		o.UserAgent = "dist"
	}
	if o.StallTimeout == 0 {
		o.StallTimeout = 20 * time.Second
	}
	if o.MirrorTimeout == 0 {
		o.MirrorTimeout = 3 * time.Second
	}
	if o.Retries == 0 {
		o.Retries = 5
	}
	if o.RetryBase == 0 {
		o.RetryBase = 250 * time.Millisecond
	}
	if o.Window.Segments == 0 {
		o.Window.Segments = 4
	}
	if o.Window.SegmentBytes == 0 {
		o.Window.SegmentBytes = 4 << 20
	}
	if o.Window.Enough == 0 {
		o.Window.Enough = 100 << 20
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
}

// under is dir/rel, when there is a dir, and then the folders of the system.
func under(dir, rel string, system ...string) []string {
	if dir == "" {
		return system
	}
	return append([]string{filepath.Join(dir, filepath.FromSlash(rel))}, system...)
}

// xdgConfig is the user's configuration folder, "" when there is none. Relative
// values are ignored, as the XDG specification demands.
func xdgConfig() string {
	if d := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(d) {
		return d
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".config")
}

// Stats tells what was sent and received so far.
func (c *Client) Stats() Stats {
	return Stats{
		Requests:      c.requests.Load(),
		TokenRequests: c.tokenRequests.Load(),
		BytesIn:       c.bytesIn.Load(),
		BytesOut:      c.bytesOut.Load(),
	}
}

// CloseIdle closes connections that no request uses.
func (c *Client) CloseIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.transports {
		t.CloseIdleConnections()
	}
}

// Repository is one repository of one registry, for concurrent use.
//
// It is a content.Source and a content.Target, can start in the middle of a
// blob, mount, list referrers, and refuses manifests whose children it lacks.
type Repository struct {
	client   *Client
	ref      oci.Reference
	pushing  bool         // everything goes where pushes go
	received atomic.Int64 // bytes of blobs, over all streams
	quick    atomic.Bool  // one stream is all that the way here gives
	given    *credential  // what to authorise with in place of what files say, for a login

	mu       sync.Mutex
	sessions map[oci.Digest]session // uploads that a refused mount opened
	pushed   manifestBytes          // the manifest pushed last, for Tag
}

type manifestBytes struct {
	desc oci.Descriptor
	data []byte
}

var (
	_ content.Source           = (*Repository)(nil)
	_ content.Target           = (*Repository)(nil)
	_ content.RangeFetcher     = (*Repository)(nil)
	_ content.ReferrerLister   = (*Repository)(nil)
	_ content.AttachmentLister = (*Repository)(nil)
	_ content.Attacher         = (*Repository)(nil)
	_ content.Mounter          = (*Repository)(nil)
	_ content.Closed           = (*Repository)(nil)
)

// Repository returns the repository that ref names; tag and digest of ref do not
// matter. Nothing is sent.
func (c *Client) Repository(ref oci.Reference) *Repository {
	r := &Repository{
		client:   c,
		ref:      oci.Reference{Registry: ref.Registry, Repository: ref.Repository},
		sessions: map[oci.Digest]session{},
	}
	// Under limits, ranges side by side would be more requests for the same rate.
	r.quick.Store(c.opts.Budgets != nil)
	return r
}

// ForPush is the same repository as a push has to see it: Resolve, Fetch and all
// else ask the one host that pushes go to, never a mirror, and with one token
// that is good for both.
func (r *Repository) ForPush() *Repository {
	p := r.client.Repository(r.ref)
	p.pushing = true
	return p
}

// Doubt passes over the mirrors of the repository from now on. It is for those who verify by themselves what FetchFrom gave them, and found it
// wrong: fetching again then asks somebody else.
func (r *Repository) Doubt() { r.restMirrors() }

// Reference is the repository's own name, without tag and digest.
func (r *Repository) Reference() oci.Reference { return r.ref }

// Closed is true: a registry refuses a manifest whose children it lacks.
func (r *Repository) Closed() bool { return true }
