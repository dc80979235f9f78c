package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
)

// stageKey is the key of the ingest that a staged manifest is. It has the repository
// in it: what one registry has said of a digest is nothing that another one said.
func stageKey(repo oci.Reference, d oci.Digest) string {
	return "mirror-" + repo.WithDigest(d).String()
}

// Manifest implements registryserver.Upstream.
func (m *Mirror) Manifest(ctx context.Context, ref oci.Reference) (registryserver.Manifest, error) {
	if ref.Digest != "" {
		return m.byDigest(ctx, repositoryOf(ref), ref.Digest)
	}
	return m.byTag(ctx, ref)
}

// byDigest finds a manifest in the store, among what is staged, or upstream.
func (m *Mirror) byDigest(ctx context.Context, repo oci.Reference, d oci.Digest) (registryserver.Manifest, error) {
	got, err := m.known(ctx, repo, d)
	if !errors.Is(err, content.ErrNotFound) {
		return got, err
	}
	key := "manifest " + repo.WithDigest(d).String()
	if err := m.refused(repo.Registry, key); err != nil {
		return got, err
	}
	return together(ctx, m, key, answerTime, func(ctx context.Context) (registryserver.Manifest, error) {
		got, err := m.fetch(ctx, repo, d)
		if err != nil {
			return got, m.refuse(repo.Registry, key, err)
		}
		return got, nil
	})
}

// known finds a manifest that need not be asked for. Errors: ErrNotFound.
func (m *Mirror) known(ctx context.Context, repo oci.Reference, d oci.Digest) (registryserver.Manifest, error) {
	here, err := m.here(ctx, repo, d)
	if err != nil {
		return registryserver.Manifest{}, err
	}
	if here {
		return m.read(ctx, d)
	}
	got, err := m.staged(ctx, repo, d)
	if err != nil {
		return got, err
	}
	m.touch(ctx, repo, got.Descriptor)
	return got, m.settleIfRoom(ctx, pending{repo: repo, desc: got.Descriptor}, got.Data)
}

// settleIfRoom is settle; what there is no room for stays as it is.
func (m *Mirror) settleIfRoom(ctx context.Context, p pending, data []byte) error {
	err := m.settle(ctx, p, data)
	if errors.Is(err, content.ErrNoSpace) {
		m.unkeptManifest(ctx, p.repo, p.desc.Digest, err)
		return nil
	}
	return err
}

func (m *Mirror) unkeptManifest(ctx context.Context, repo oci.Reference, d oci.Digest, err error) {
	m.o.Log.LogAttrs(ctx, slog.LevelWarn, "manifest is passed on and not kept",
		slog.String("manifest", repo.WithDigest(d).String()), slog.Any("error", err))
}

// read reads a manifest that is held.
func (m *Mirror) read(ctx context.Context, d oci.Digest) (got registryserver.Manifest, err error) {
	info, err := m.store.Info(ctx, d)
	if err == nil && !oci.HasSuccessors(info.MediaType) {
		err = fmt.Errorf("manifest %s: %w: it is %s", d, content.ErrNotFound, info.MediaType)
	}
	if err != nil {
		return got, err
	}
	got.Descriptor = info.Descriptor()
	got.Data, err = content.ReadAll(ctx, m.store, got.Descriptor, oci.MaxManifestSize)
	return got, err
}

// staged reads back a manifest that lacked something when it was fetched. Errors:
// ErrNotFound, also for one that has only come in part.
func (m *Mirror) staged(ctx context.Context, repo oci.Reference, d oci.Digest) (got registryserver.Manifest, err error) {
	key := stageKey(repo, d)
	part, err := m.store.Part(ctx, key)
	if err != nil {
		return got, err
	}
	defer part.Close()
	data, err := io.ReadAll(io.NewSectionReader(part, 0, oci.MaxManifestSize))
	if err != nil {
		return got, err
	}
	if len(data) == 0 || d.Algorithm().FromBytes(data) != d {
		return got, fmt.Errorf("manifest %s: %w: it has come in part", d, content.ErrNotFound)
	}
	st, err := m.store.Status(ctx, key)
	if err != nil { // committed just now: it comes from the store next time
		return got, err
	}
	if st.MediaType == "" { // its fetcher was killed before it could say
		st.MediaType = oci.DetectManifest(data)
	}
	got.Descriptor = oci.Descriptor{MediaType: st.MediaType, Digest: d, Size: int64(len(data))}
	got.Data = data
	return got, nil
}

// fetch gets a manifest from upstream: only whether it is there, when the store has its
// bytes from the same registry.
func (m *Mirror) fetch(ctx context.Context, repo oci.Reference, d oci.Digest) (got registryserver.Manifest, err error) {
	held, err := m.held(ctx, d)
	if err != nil {
		return got, err
	}
	if held {
		if err := m.proven(ctx, repo, d); err != nil {
			return got, err
		}
		if err := m.include(ctx, repo, d); err != nil {
			return got, err
		}
		if err := m.name(ctx, repo, d); err != nil {
			return got, err
		}
		return m.read(ctx, d)
	}
	err = m.withRoom(ctx, func() (err error) {
		got, err = m.stage(ctx, repo, d)
		return err
	})
	switch {
	case errors.Is(err, content.ErrExists): // it was committed meanwhile
		return m.fetch(ctx, repo, d)
	case errors.Is(err, content.ErrNoSpace) && len(got.Data) > 0:
		m.unkeptManifest(ctx, repo, d, err)
		return got, nil
	case err != nil:
		return got, err
	}
	return got, m.settleIfRoom(ctx, pending{repo: repo, desc: got.Descriptor}, got.Data)
}

// proven is nil if repo has d, which is held, by the word of its registry or, where
// that does not count, by the bytes.
func (m *Mirror) proven(ctx context.Context, repo oci.Reference, d oci.Digest) error {
	vouched, err := m.vouched(ctx, repo, d)
	switch {
	case err != nil:
	case vouched:
		_, err = m.o.Open(repo).Resolve(ctx, repo.WithDigest(d))
	default:
		_, _, err = m.o.Open(repo).FetchManifest(ctx, repo.WithDigest(d))
	}
	return err
}

// stage fetches a manifest into an ingest of its own, unless another process has done
// that while it was waited for. Errors: ErrExists when the store holds it.
func (m *Mirror) stage(ctx context.Context, repo oci.Reference, d oci.Digest) (got registryserver.Manifest, err error) {
	w, err := m.writer(ctx, repo, oci.Descriptor{Digest: d, Size: -1})
	if err != nil {
		return got, err
	}
	defer func() {
		if w != nil {
			w.Close()
		}
		if err != nil && !errors.Is(err, content.ErrExists) {
			_ = m.store.Abort(context.WithoutCancel(ctx), stageKey(repo, d)) // others may go on with it
		}
	}()
	if w.Status().Offset > 0 {
		if got, err = m.staged(ctx, repo, d); err == nil {
			return got, nil
		}
		if err = w.Reset(); err != nil {
			return got, err
		}
	}
	if got.Descriptor, got.Data, err = m.o.Open(repo).FetchManifest(ctx, repo.WithDigest(d)); err != nil {
		return got, err
	}
	if _, err = io.Copy(w, bytes.NewReader(got.Data)); err != nil {
		return got, err
	}
	w.Close()
	w, err = m.writer(ctx, repo, got.Descriptor) // what it is was not known before
	return got, err
}

// writer opens the ingest of a staged manifest, and lets it be under the newest
// lease.
func (m *Mirror) writer(ctx context.Context, repo oci.Reference, desc oci.Descriptor) (content.Writer, error) {
	lease, done, err := m.keep.use(ctx)
	if err != nil {
		return nil, err
	}
	key := stageKey(repo, desc.Digest)
	m.keep.has(key)
	w, err := m.store.Writer(ctx, content.IngestOptions{
		Key: key, Expected: desc.Digest, Total: desc.Size, MediaType: desc.MediaType, Lease: lease, Source: repo.Name(),
	})
	if err != nil {
		done()
		return nil, err
	}
	return &leased{Writer: w, done: sync.OnceFunc(done)}, nil
}

// leased is a writer that needs a lease until it is closed.
type leased struct {
	content.Writer
	done func()
}

// Close implements content.Writer.
func (l *leased) Close() error {
	defer l.done()
	return l.Writer.Close()
}

// touch lets what was asked for be kept for longer, once a day. It is a matter of
// keeping alone, and no reason to fail.
func (m *Mirror) touch(ctx context.Context, repo oci.Reference, desc oci.Descriptor) {
	_, done, err := m.keep.use(ctx)
	if err != nil {
		return
	}
	defer done()
	if m.keep.has(stageKey(repo, desc.Digest)) {
		return
	}
	if w, err := m.writer(ctx, repo, desc); err == nil {
		w.Close()
	}
}
