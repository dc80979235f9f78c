package registryclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"dist.example/content"
	"dist.example/oci"
)

// maxReplay is how much of a reader that cannot be read twice is buffered, so
// that it can be sent again.
const maxReplay = 4 << 20

// pushHost is where pushes go: exactly one place, so that what was found there
// is what is built upon.
func (r *Repository) pushHost() (*endpoint, error) {
	hosts, err := r.client.endpoints(r.ref, canPush)
	if err != nil {
		return nil, fmt.Errorf("push to %s: %w", r.ref.Name(), err)
	}
	return hosts[0], nil
}

// Exists asks, with one HEAD request, whether the repository that pushes go to
// holds desc. Errors: ErrDenied, ErrUnavailable.
func (r *Repository) Exists(ctx context.Context, desc oci.Descriptor) (bool, error) {
	e, err := r.pushHost()
	if err != nil {
		return false, err
	}
	if !oci.HasSuccessors(desc.MediaType) {
		got, err := r.headBlob(ctx, e, desc.Digest, r.scope("pull,push"))
		return found(err, got.Size < 0 || desc.Size < 0 || got.Size == desc.Size)
	}
	resp, err := r.do(ctx, e, call{
		what: "manifest " + desc.Digest.String(), method: http.MethodHead,
		url:    r.at(e, "/manifests/"+desc.Digest.String(), nil),
		header: http.Header{"Accept": {desc.MediaType}},
		scopes: r.scope("pull,push"), ok: []int{http.StatusOK},
	})
	if err != nil {
		return found(err, false)
	}
	resp.Body.Close()
	return true, nil
}

// found turns an answer of "not there", and of "HEAD is not spoken here", into
// false: pushing again what is there does no harm.
func found(err error, same bool) (bool, error) {
	if errors.Is(err, content.ErrNotFound) || errors.Is(err, content.ErrUnsupported) {
		return false, nil
	}
	return err == nil && same, err
}

// Push sends desc's content: a manifest by its digest, a blob in one upload that
// is taken up again where it broke off. What is there already is not looked for:
// Exists is.
//
// From an *os.File the bytes go out without passing through this process where
// the system can do that; an io.ReaderAt that can also seek is read from its
// position on. The content of any other reader is buffered up to 4 MiB, and when
// larger sent in one try. Errors: ErrCorrupt when the registry, or a verifying
// reader, finds other bytes than desc says; ErrDenied, ErrUnavailable; ErrNoSpace when the
// registry has no room; ErrInvalid for a manifest that it refuses.
func (r *Repository) Push(ctx context.Context, desc oci.Descriptor, from io.Reader) error {
	if oci.HasSuccessors(desc.MediaType) {
		data, err := readManifestToPush(desc, from)
		if err != nil {
			return err
		}
		return r.PushManifest(ctx, desc, data)
	}
	if desc.Size < 0 {
		return fmt.Errorf("push %s to %s: %w: its size has to be known", desc.Digest, r.ref.Name(), content.ErrInvalid)
	}
	b, err := replayable(desc, from)
	if err != nil {
		return fmt.Errorf("push %s to %s: %w", desc.Digest, r.ref.Name(), err)
	}
	return r.pushBlob(ctx, desc, b)
}

func readManifestToPush(desc oci.Descriptor, from io.Reader) ([]byte, error) {
	if desc.Size > oci.MaxManifestSize {
		return nil, fmt.Errorf("push %s: %w: a manifest of %d bytes, the limit is %d", desc.Digest, content.ErrUnsupported, desc.Size, oci.MaxManifestSize)
	}
	return io.ReadAll(content.Verify(io.LimitReader(from, oci.MaxManifestSize+1), desc))
}

// replayable makes a body of from.
func replayable(desc oci.Descriptor, from io.Reader) (*body, error) {
	type seekerAt interface {
		io.ReaderAt
		io.Seeker
	}
	if at, ok := from.(seekerAt); ok {
		off, err := at.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		file, _ := from.(*os.File)
		return &body{at: at, file: file, off: off, size: desc.Size}, nil
	}
	if desc.Size <= maxReplay {
		data, err := io.ReadAll(content.Verify(from, desc))
		if err != nil {
			return nil, err
		}
		return &body{at: bytes.NewReader(data), size: desc.Size}, nil
	}
	return &body{at: &onceReader{r: content.Verify(from, desc)}, size: desc.Size, oneShot: true}, nil
}

// onceReader lets a reader pass for an io.ReaderAt as long as it is read in
// order and once.
type onceReader struct {
	r   io.Reader
	pos int64
}

func (o *onceReader) ReadAt(p []byte, off int64) (int, error) {
	if off != o.pos {
		return 0, errors.New("the content cannot be read a second time")
	}
	n, err := o.r.Read(p)
	o.pos += int64(n)
	return n, err
}

// Mount asks for desc to be taken from repository from of the same registry,
// without the bytes moving. False without an error: it has to be pushed; when
// the registry has opened an upload instead, the next Push of desc uses it.
func (r *Repository) Mount(ctx context.Context, desc oci.Descriptor, from oci.Reference) (bool, error) {
	if from.Registry != r.ref.Registry || from.Repository == r.ref.Repository {
		return false, nil
	}
	e, err := r.pushHost()
	if err != nil {
		return false, err
	}
	if there, err := r.client.Repository(from).pushHost(); err != nil || there != e {
		return false, nil // the two lie at different places
	}
	q := r.beginCall(e, "mount of "+desc.Digest.String(), url.Values{"mount": {desc.Digest.String()}, "from": {e.rename.of(from.Repository)}})
	q.scopes = append(q.scopes, "repository:"+from.Repository+":pull")
	q.ok = append(q.ok, http.StatusCreated)
	resp, err := r.do(ctx, e, q)
	if err != nil {
		if errors.Is(err, content.ErrUnavailable) || ctx.Err() != nil {
			return false, err
		}
		return false, nil // refused, whatever for: the push will tell if it matters
	}
	drain(resp)
	if resp.StatusCode == http.StatusCreated {
		return true, nil
	}
	if s, err := r.sessionAt(e, q.url, resp); err == nil {
		r.mu.Lock()
		r.sessions[desc.Digest] = s
		r.mu.Unlock()
	}
	return false, nil
}

func (r *Repository) takeSession(d oci.Digest) (session, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.sessions[d]
	delete(r.sessions, d)
	return s, ok
}

// PushManifest puts a manifest, under each of tags, or under its digest when
// there are none: one request each. Everything it refers to has to be there, but
// for its subject. A manifest with a subject, at a registry that does not list
// referrers, is then entered into the index that stands in for such lists.
//
// Errors: ErrCorrupt when data is not desc, or when the registry made something
// else of it; ErrNotFound or ErrInvalid when the registry misses children;
// ErrConflict when the manifest is there, but could not be entered.
func (r *Repository) PushManifest(ctx context.Context, desc oci.Descriptor, data []byte, tags ...string) error {
	if int64(len(data)) != desc.Size || desc.Digest.Algorithm().FromBytes(data) != desc.Digest {
		return fmt.Errorf("push manifest %s: %w: the bytes are not what the descriptor says", desc.Digest, content.ErrCorrupt)
	}
	names := tags
	if len(tags) == 0 {
		names = []string{desc.Digest.String()}
	}
	listed := false
	for _, name := range names {
		header, err := r.putManifest(ctx, desc, data, name, nil)
		if err != nil {
			return err
		}
		listed = listed || header.Get(subjectHeader) != ""
	}
	r.mu.Lock()
	r.pushed = manifestBytes{desc, data}
	r.mu.Unlock()
	if listed {
		return nil
	}
	return r.enter(ctx, desc, data)
}

// putManifest puts a manifest under one name, with additional headers, and
// returns those of the answer.
func (r *Repository) putManifest(ctx context.Context, desc oci.Descriptor, data []byte, name string, header http.Header) (http.Header, error) {
	e, err := r.pushHost()
	if err != nil {
		return nil, err
	}
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", desc.MediaType)
	resp, err := r.do(ctx, e, call{
		what: "push manifest " + name, method: http.MethodPut,
		url:    r.at(e, "/manifests/"+name, nil),
		header: header,
		body:   bytesBody(data), scopes: r.scope("pull,push"),
		ok: []int{http.StatusCreated, http.StatusOK, http.StatusAccepted},
	})
	if err != nil {
		return nil, err
	}
	drain(resp)
	got, err := oci.ParseDigest(resp.Header.Get(digestHeader))
	if err == nil && got.Algorithm() == desc.Digest.Algorithm() && got != desc.Digest {
		return nil, fmt.Errorf("push manifest %s to %s: %w: the registry keeps it as %s", name, r.ref.Name(), content.ErrCorrupt, got)
	}
	return resp.Header, nil
}

// Tag lets ref's tag name desc, a manifest that the repository holds. One
// request when desc is what this Repository pushed last, else its bytes are
// fetched first. Errors: ErrInvalid when ref has no tag, else as PushManifest.
func (r *Repository) Tag(ctx context.Context, desc oci.Descriptor, ref oci.Reference) error {
	if ref.Tag == "" {
		return fmt.Errorf("tag %s: %w: no tag given", desc.Digest, content.ErrInvalid)
	}
	r.mu.Lock()
	known := r.pushed
	r.mu.Unlock()
	if known.desc.Digest == desc.Digest {
		_, err := r.putManifest(ctx, known.desc, known.data, ref.Tag, nil)
		return err
	}
	e, err := r.pushHost()
	if err != nil {
		return err
	}
	got, data, err := r.getManifest(ctx, e, r.ref.WithDigest(desc.Digest), []string{desc.MediaType})
	if err != nil {
		return err
	}
	_, err = r.putManifest(ctx, got, data, ref.Tag, nil)
	return err
}
