// Package mirror stands for other registries: what a store lacks is fetched from
// them once, passed on while it comes in, verified, and kept. It implements
// registryserver.Upstream.
//
// # Invariants
//
//   - No name reaches what is not held. A manifest that came before its blobs is
//     staged: an ingest left behind, of which the store knows nothing as an object.
//     When all that it refers to is held (of an index, one platform), it is committed,
//     then the index above it, then the tags that were seen to stand for it move by
//     compare-and-set; the history calls that "mirror". So what clients have pulled
//     whole is an image of the store like any other.
//   - Nobody is sent the whole of a blob that is wrong: whoever reads it while it
//     comes gets its last bytes when it has been verified, and only if all that he was
//     given before is of it.
//   - What came by a repository is in that repository, and in no other before the
//     registry has said that it is there too. Of what the store has from elsewhere
//     that is not enough: a registry could say so of anything, and has to bring the
//     bytes. What a manifest refers to is asked for like anything else: who can push
//     to a repository that is mirrored could have its manifests refer to whatever the
//     store has.
//
// # Who asks how often
//
// However many ask for a manifest or blob, one fetches it: within a process they
// wait for each other, and between processes for the lock on the ingest. That of a
// blob has the registry and the digest for its key, so that what was broken off goes
// on where it stopped, whoever asks next, and nobody reads what another registry, or
// somebody who pulls from one, is bringing. A fetch that nobody waits for any more
// goes on for ten minutes.
//
// A tag is what its registry said within Options.Revalidate, in whatever process; or
// what the owner of the store has let the name stand for since. After that one
// request asks. When there is no answer within a few seconds, or none that counts,
// what is known is served on, with a warning. A tag that is gone is gone here too,
// but what it stood for, and the name in the store, stay. A refusal is remembered for
// five seconds; a registry that cannot be reached is not asked anything meanwhile.
//
// # Where the store is full
//
// Room is made for what comes (Options.MakeRoom), while what is being pulled stays: all
// that a staged manifest of the last hour waits with. Leases of the mirror end for that,
// the oldest first. What there is no room for nevertheless is passed on and not kept: each
// who asks for it costs a fetch. A manifest without room is passed on in the same way.
//
// # What a crash leaves
//
// Ingests of blobs, which go on; staged manifests, which are read back by their
// digest; manifests that lack nothing any more but are still staged: the next one who
// asks for them settles that. All of it is under leases that outlive the process by
// seven days.
//
// # What it does not do
//
// It does not decide who may ask: the server does before. It sends nothing of its
// clients upstream, no credentials above all. It deletes nothing that the store has; who
// makes room does.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"dist.example/content"
	"dist.example/oci"
)

// Repository is one repository of a registry that is stood for, for concurrent use.
type Repository interface {
	content.Source
	content.RangeFetcher
	content.ReferrerLister
	// FetchManifest gets and verifies the manifest that ref's digest names.
	FetchManifest(ctx context.Context, ref oci.Reference, accept ...string) (oci.Descriptor, []byte, error)
	// StatBlob finds out whether d is there, and its size, -1 when that is not told.
	StatBlob(ctx context.Context, d oci.Digest) (oci.Descriptor, error)
	// Tags lists the tags, page by page.
	Tags(ctx context.Context) iter.Seq2[string, error]
}

// Options say what is mirrored.
type Options struct {
	// Registries are the hosts that are stood for.
	Registries []string
	// Open returns a repository of one of them. It is called often, and sends nothing.
	Open func(repo oci.Reference) Repository
	// Revalidate is how long a registry's word on a tag counts; 0 asks each time.
	Revalidate time.Duration
	// MakeRoom is asked before a blob is fetched, one call at a time, and sees to it that
	// the store has room for it. Errors: ErrNoSpace. With nil, what fits fits.
	MakeRoom func(ctx context.Context, want Want) error
	// Log is told when what is served may be out of date, and what could not be
	// fetched; nil drops it.
	Log *slog.Logger
	// Now is the clock, nil the system's.
	Now func() time.Time
}

const (
	// staleAfter is how long a registry may take to say what a known tag stands for.
	staleAfter = 3 * time.Second
	// answerTime bounds everything else that is asked, but for the bytes of blobs.
	answerTime = 30 * time.Second
	// refusalAge is how long a registry that refused is not asked the same again.
	refusalAge = 5 * time.Second
	// alone is how long a blob is fetched that nobody waits for.
	alone = 10 * time.Minute
	// flights is how many blobs are fetched at once.
	flights = 32
)

// Mirror is a pull-through cache. It is safe for concurrent use.
type Mirror struct {
	store content.Store
	o     Options
	keep  keeper

	ctx   context.Context //nolint:containedctx // of all fetches: they outlive who asks
	stop  context.CancelFunc
	group singleflight.Group
	slots *semaphore.Weighted
	// What was refused a moment ago, and what lists there were.
	refusals  cache[error]
	stats     cache[int64]
	tags      cache[[]string]
	referrers cache[[]oci.Descriptor]

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
	flights map[string]*flight // by their keys
	waiting waiting
	making  *semaphore.Weighted // of room, one at a time
	unkept  cache[error]        // blobs there was no room for
}

// New returns a mirror that keeps what it fetches in store. The caller closes it
// before the store.
func New(store content.Store, o Options) *Mirror {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &Mirror{
		store: store, o: o, ctx: ctx, stop: stop,
		slots: semaphore.NewWeighted(flights), flights: map[string]*flight{},
		refusals: cache[error]{limit: 4096}, stats: cache[int64]{limit: 4096},
		making: semaphore.NewWeighted(1), unkept: cache[error]{limit: 4096},
		tags: cache[[]string]{limit: maxLists}, referrers: cache[[]oci.Descriptor]{limit: maxLists},
	}
	m.keep = keeper{store: store, now: o.Now, gathered: m.gathered}
	return m
}

// Close ends all fetches and waits for that; what they have so far is kept.
func (m *Mirror) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.stop()
	m.running.Wait()
	return nil
}

// Mirrors says whether registry is one that is stood for.
func (m *Mirror) Mirrors(registry string) bool { return slices.Contains(m.o.Registries, registry) }

// begin is for each piece of work that outlives who asked for it; done ends it.
func (m *Mirror) begin() (done func(), err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, fmt.Errorf("mirror: %w: it is closed", content.ErrUnavailable)
	}
	m.running.Add(1)
	return m.running.Done, nil
}

// together does work once for all who ask for the same at the same time. It goes on
// without those who have gone, for limit at most.
func together[T any](ctx context.Context, m *Mirror, key string, limit time.Duration, work func(context.Context) (T, error)) (T, error) {
	ch := m.group.DoChan(key, func() (any, error) {
		done, err := m.begin()
		if err != nil {
			return nil, err
		}
		defer done()
		ctx, cancel := context.WithTimeout(m.ctx, limit)
		defer cancel()
		return work(ctx)
	})
	var none T
	select {
	case r := <-ch:
		if r.Err != nil {
			return none, r.Err
		}
		return r.Val.(T), nil
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// refused is the refusal of a moment ago, nil when there was none. A registry that did
// not answer at all is not asked anything for a while.
func (m *Mirror) refused(registry, what string) error {
	now := m.o.Now()
	if err, ok := m.refusals.young(what, now, refusalAge); ok {
		return err
	}
	err, _ := m.refusals.young(registry, now, refusalAge)
	return err
}

// refuse remembers err, unless it is about who asked and not about the registry.
func (m *Mirror) refuse(registry, what string, err error) error {
	if m.ctx.Err() != nil || errors.Is(err, context.Canceled) || errors.Is(err, content.ErrNoSpace) {
		return err
	}
	m.refusals.put(what, err, 1, m.o.Now())
	var remote *content.RemoteError
	if errors.As(err, &remote) && remote.Status == 0 && errors.Is(err, content.ErrUnavailable) {
		m.refusals.put(registry, err, 1, m.o.Now())
	}
	return err
}

// here says whether d is held, sound, and in repo.
func (m *Mirror) here(ctx context.Context, repo oci.Reference, d oci.Digest) (bool, error) {
	held, err := m.held(ctx, d)
	if !held || err != nil {
		return false, err
	}
	in, err := m.store.InRepository(ctx, repo.Name(), d)
	return err == nil && in[0], err
}

// held says whether d is held and sound, in whatever repository.
func (m *Mirror) held(ctx context.Context, d oci.Digest) (bool, error) {
	info, err := m.store.Info(ctx, d)
	if errors.Is(err, content.ErrNotFound) {
		return false, nil
	}
	return err == nil && info.Place != "damaged", err
}

// vouched says whether the store has d from repo's registry. Then the registry's word is
// enough that it is in repo too; what came from elsewhere it has to bring.
func (m *Mirror) vouched(ctx context.Context, repo oci.Reference, d oci.Digest) (bool, error) {
	held, err := m.held(ctx, d)
	if !held || err != nil {
		return false, err
	}
	for name, err := range m.store.RepositoriesOf(ctx, d) {
		if err != nil {
			return false, err
		}
		if !strings.HasPrefix(name, repo.Registry+"/") {
			continue
		}
		if in, err := m.store.InRepository(ctx, name, d); err != nil || in[0] {
			return err == nil, err
		}
	}
	return false, nil
}

// include says that repo's registry has d there. It vouches for nothing that d refers
// to and that is not in repo by itself.
func (m *Mirror) include(ctx context.Context, repo oci.Reference, d oci.Digest) error {
	return m.withRoom(ctx, func() error { return m.store.Include(ctx, repo.Name(), content.Pushed, d) })
}

func repositoryOf(ref oci.Reference) oci.Reference {
	return oci.Reference{Registry: ref.Registry, Repository: ref.Repository}
}
