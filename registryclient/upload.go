package registryclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// session is an upload that was begun.
type session struct {
	host     *endpoint
	location *url.URL
}

// pushBlob uploads until the registry has it all. After a failure the session is
// asked where it stands; one that is gone is begun again. Where the registry
// found other bytes than were sent, it gets them once more from the first on. A
// session that is not gone on with is cancelled.
func (r *Repository) pushBlob(ctx context.Context, desc oci.Descriptor, b *body) (err error) {
	u := upload{r: r, desc: desc, body: b, tries: tries{client: r.client, what: "push blob " + desc.Digest.String()}}
	u.session, u.known = r.takeSession(desc.Digest)
	defer func() {
		if err != nil && u.known {
			u.cancel(ctx)
		}
	}()
	for {
		err := u.once(ctx)
		if err == nil {
			return nil
		}
		var f *failure
		if !errors.As(err, &f) {
			return err
		}
		if done, err := u.recover(ctx, f); done || err != nil {
			return err
		}
	}
}

// upload is one blob on its way to a registry.
type upload struct {
	r       *Repository
	desc    oci.Descriptor
	body    *body
	tries   tries
	session session
	known   bool  // there is a session
	done    int64 // what it has
	best    int64 // the most that any session had
	wrong   bool  // the registry has found other bytes once
}

// once begins a session where there is none, and sends what it lacks. What may
// be tried again is a *failure.
func (u *upload) once(ctx context.Context) error {
	if !u.known {
		s, err := u.r.begin(ctx)
		if err != nil {
			return err
		}
		u.session, u.known, u.done = s, true, 0
	}
	u.tries.host = u.session.location.Host
	return u.r.finish(ctx, u.desc, &u.session, u.body, &u.done)
}

// recover finds out how an upload that met f goes on. done when there is nothing
// left to do.
func (u *upload) recover(ctx context.Context, f *failure) (done bool, _ error) {
	switch {
	case u.body.oneShot:
		return false, f.error
	case errors.Is(f.error, content.ErrCorrupt) && !u.wrong:
		u.wrong, u.known = true, false
		return false, nil
	case !resumable(f):
		return false, f.error
	}
	if more, err := u.tries.again(ctx, f.cause, f.after); err != nil {
		return false, fmt.Errorf("push %s to %s: %w", u.desc.Digest, u.r.ref.Name(), err)
	} else if !more {
		return false, f.error
	}
	u.known, u.done = u.r.standing(ctx, &u.session, u.desc)
	// Sessions that get no further than those that were lost are no progress.
	if u.known && u.done > u.best+progress {
		u.tries.reset()
		u.best = u.done
	}
	if !u.known && u.r.arrived(ctx, u.session.host, u.desc) {
		return true, nil // it was the registry's last word that was lost
	}
	if ctx.Err() != nil {
		return false, fmt.Errorf("push %s to %s: %w", u.desc.Digest, u.r.ref.Name(), ctx.Err())
	}
	return false, nil
}

// cancelTime bounds how long somebody who wants to end waits for a registry.
const cancelTime = 2 * time.Second

// cancel lets the registry drop what it has of the upload at once: no later push asks
// for a session of this one. A registry that does not do that forgets it some day, and
// so does one where the right to push does not go so far: it is not asked for long.
func (u *upload) cancel(ctx context.Context) {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), cancelTime)
	defer done()
	resp, err := u.r.do(ctx, u.session.host, call{
		what: "upload of " + u.desc.Digest.String(), method: http.MethodDelete, url: u.session.location,
		scopes: u.r.scope("pull,push"), ok: []int{http.StatusNoContent, http.StatusOK, http.StatusAccepted}, once: true, grants: 1,
	})
	if err == nil {
		drain(resp)
	}
}

// resumable says whether an upload that met f may go on: besides what passes by
// itself, a session that is lost or in another place than was thought.
func resumable(f *failure) bool {
	var remote *content.RemoteError
	if errors.As(f.error, &remote) {
		switch remote.Status {
		case http.StatusNotFound, http.StatusRequestedRangeNotSatisfiable:
			return true
		}
	}
	return f.transient
}

// arrived says whether the registry holds desc by now.
func (r *Repository) arrived(ctx context.Context, e *endpoint, desc oci.Descriptor) bool {
	got, err := r.headBlob(ctx, e, desc.Digest, r.scope("pull,push"))
	return err == nil && got.Size == desc.Size
}

// begin opens an upload session.
func (r *Repository) begin(ctx context.Context) (session, error) {
	e, err := r.pushHost()
	if err != nil {
		return session{}, err
	}
	q := r.beginCall(e, "upload", nil)
	resp, err := r.do(ctx, e, q)
	if err != nil {
		return session{}, err
	}
	drain(resp)
	return r.sessionAt(e, q.url, resp)
}

func (r *Repository) beginCall(e *endpoint, what string, query url.Values) call {
	return call{
		what: what, method: http.MethodPost,
		url:    r.at(e, "/blobs/uploads/", query),
		body:   bytesBody(nil),
		scopes: r.scope("pull,push"),
		ok:     []int{http.StatusAccepted},
	}
}

// sessionAt reads where an upload goes on.
func (r *Repository) sessionAt(e *endpoint, from *url.URL, resp *http.Response) (session, error) {
	loc := resp.Header.Get("Location")
	if loc == "" {
		return session{}, fmt.Errorf("upload to %s: %w: %s gives no Location", r.ref.Name(), content.ErrUnsupported, e.host())
	}
	u, err := resolveURL(from, loc)
	if err != nil {
		return session{}, fmt.Errorf("upload to %s: %w: %w", r.ref.Name(), content.ErrUnsupported, err)
	}
	return session{e, u}, nil
}

// finish sends the bytes from *done on and closes the session: in one request
// where nothing was sent, else the rest and then the end.
func (r *Repository) finish(ctx context.Context, desc oci.Descriptor, s *session, b *body, done *int64) error {
	rest := b
	if *done > 0 && *done < b.size {
		if err := r.patch(ctx, desc, s, b, *done); err != nil {
			return err
		}
		*done = b.size
	}
	if *done > 0 {
		rest = bytesBody(nil)
	}
	u := *s.location
	query := u.Query()
	query.Set("digest", desc.Digest.String())
	u.RawQuery = query.Encode()
	resp, err := r.do(ctx, s.host, call{
		what: "push blob " + desc.Digest.String(), method: http.MethodPut, url: &u,
		header: http.Header{"Content-Type": {oci.MediaTypeOctets}},
		body:   rest, scopes: r.scope("pull,push"),
		ok: []int{http.StatusCreated, http.StatusNoContent, http.StatusOK}, once: true,
	})
	if err != nil {
		return err
	}
	drain(resp)
	return nil
}

// patch sends everything from done on.
func (r *Repository) patch(ctx context.Context, desc oci.Descriptor, s *session, b *body, done int64) error {
	resp, err := r.do(ctx, s.host, call{
		what: "push blob " + desc.Digest.String(), method: http.MethodPatch, url: s.location,
		header: http.Header{
			"Content-Type":  {oci.MediaTypeOctets},
			"Content-Range": {fmt.Sprintf("%d-%d", done, b.size-1)},
		},
		body: b.from(done), scopes: r.scope("pull,push"),
		ok: []int{http.StatusAccepted, http.StatusNoContent}, once: true,
	})
	if err != nil {
		return err
	}
	drain(resp)
	if next, err := r.sessionAt(s.host, s.location, resp); err == nil {
		*s = next
	}
	return nil
}

// standing asks a session how much it has. False when it is gone, cannot tell,
// or has what cannot be.
func (r *Repository) standing(ctx context.Context, s *session, desc oci.Descriptor) (bool, int64) {
	resp, err := r.do(ctx, s.host, call{
		what: "upload of " + desc.Digest.String(), method: http.MethodGet, url: s.location,
		scopes: r.scope("pull,push"), ok: []int{http.StatusNoContent, http.StatusAccepted},
	})
	if err != nil {
		return false, 0
	}
	drain(resp)
	if next, err := r.sessionAt(s.host, s.location, resp); err == nil {
		*s = next
	}
	first, last, ok := strings.Cut(strings.TrimPrefix(resp.Header.Get("Range"), "bytes="), "-")
	if !ok || first != "0" {
		return false, 0
	}
	n := decimal(last) + 1
	if last == "0" {
		n = 0 // what registries answer for nothing, since the range cannot say so
	}
	return n >= 0 && n <= desc.Size, n
}
