package registryserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// keyPrefix sets the ingests of upload sessions apart from all others of the
// store, which clients must not reach.
const keyPrefix = "upload-"

// key is that of the session's ingest.
func key(at route) string { return keyPrefix + at.session }

// smallUpload is what comes in one piece as a rule, so that it need not be resumed:
// up to here the store collects it in memory, for a pack.
const smallUpload = 256 << 10

// lastKey is the key for the request that ends the session: none for one that
// brings all of a small blob. If that breaks off, the session is as fresh as it was.
func (s *server) lastKey(r *http.Request, at route) string {
	if r.ContentLength >= 0 && r.ContentLength <= smallUpload && s.fresh.has(at.session) {
		return ""
	}
	return key(at)
}

// startUpload answers POST: a mount, a blob in one request, or a new session.
func (s *server) startUpload(w http.ResponseWriter, r *http.Request, at route) error {
	q := r.URL.Query()
	if alg := q.Get("digest-algorithm"); alg != "" && alg != oci.SHA256.String() && alg != oci.SHA512.String() {
		return refuse(http.StatusBadRequest, codeDigestInvalid, "digest algorithm %.40q is neither sha256 nor sha512", alg)
	}
	if q.Has("mount") {
		if done, err := s.mount(w, r, at, q.Get("mount")); done || err != nil {
			return err
		}
	}
	if _, err := s.names.repository(r.Context(), at.name); err != nil {
		return err // and so would be whatever came to the session
	}
	known, err := s.sessions.begin(r.Context())
	if err != nil {
		return s.tooMany(w, err)
	}
	at.session = newSession(at.name)
	fresh := s.fresh.add(at.session)
	if fresh {
		known()
	} else {
		defer known()
	}
	if q.Has("digest") {
		defer s.fresh.drop(at.session)
		err := s.finish(w, r, at, q.Get("digest"))
		if err != nil {
			s.abort(r.Context(), at) // nobody knows of the session
		}
		return err
	}
	if !fresh {
		if _, err := s.withWriter(r, at, key(at), "", func(content.Writer) error { return nil }); err != nil {
			return err
		}
	}
	standing(w, at, 0)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// mount includes a blob that the client could read elsewhere, and puts it under the
// lease. Any other is to be uploaded.
func (s *server) mount(w http.ResponseWriter, r *http.Request, at route, digest string) (bool, error) {
	if err := at.parseDigest(digest); err != nil {
		return false, err
	}
	ok, err := s.mountable(r, at)
	if !ok || err != nil {
		return false, err
	}
	repo, err := s.names.repository(r.Context(), at.name)
	if err != nil {
		return false, err
	}
	lease, done, err := s.leases.use(r.Context())
	if err != nil {
		return false, err
	}
	defer done()
	err = s.store.Hold(r.Context(), lease, at.digest)
	if err == nil {
		err = s.store.Include(r.Context(), repo.Name(), content.Pushed, at.digest)
	}
	if errors.Is(err, content.ErrNotFound) {
		return false, nil // it went in this moment
	}
	if err != nil {
		return false, err
	}
	created(w, blobPath(at.name, at.digest), at.digest)
	return true, nil
}

func blobPath(name string, d oci.Digest) string { return "/v2/" + name + "/blobs/" + d.String() }

// uploadStatus answers GET with what has arrived so far.
func (s *server) uploadStatus(w http.ResponseWriter, r *http.Request, at route) error {
	st, err := s.session(r.Context(), at)
	if err != nil {
		return err
	}
	standing(w, at, st.Offset)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// turn waits until no other request of this server is at the upload, and looks it up
// then. The caller leaves.
func (s *server) turn(ctx context.Context, at route) (leave func(), err error) {
	wait, cancel := context.WithTimeout(ctx, sessionWait)
	defer cancel()
	leave, err = s.queues.take(wait, at.session)
	if err != nil {
		return nil, cmp.Or(context.Cause(ctx), occupied())
	}
	if _, err := s.session(ctx, at); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

func occupied() error {
	return refuse(http.StatusTooManyRequests, codeTooManyRequests, "another request is writing to this session")
}

// session looks an upload up, which the store makes anew when it is written to.
func (s *server) session(ctx context.Context, at route) (content.Status, error) {
	if s.fresh.has(at.session) {
		return content.Status{}, nil
	}
	st, err := s.store.Status(ctx, key(at))
	if errors.Is(err, content.ErrNotFound) {
		return st, refuse(http.StatusNotFound, codeUploadUnknown, "no upload session %s in %s", at.session, at.name)
	}
	return st, err
}

// standing sets the headers that tell a client where its session is. An empty
// one is 0-0, for want of a way to write nothing.
func standing(w http.ResponseWriter, at route, offset int64) {
	h := w.Header()
	h.Set("Location", "/v2/"+at.name+"/blobs/uploads/"+at.session)
	h.Set("Range", fmt.Sprintf("0-%d", max(offset-1, 0)))
	h.Set("Docker-Upload-Uuid", at.session)
}

// appendUpload answers PATCH: one chunk, or all there is.
func (s *server) appendUpload(w http.ResponseWriter, r *http.Request, at route) error {
	leave, err := s.turn(r.Context(), at)
	if err != nil {
		return err
	}
	defer leave()
	st, err := s.withWriter(r, at, key(at), "", func(cw content.Writer) error {
		return s.receive(w, r, at, cw)
	})
	if err != nil {
		s.giveUp(r.Context(), at, err)
		return err
	}
	standing(w, at, st.Offset)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// finishUpload answers PUT: the last chunk or none, and the digest.
func (s *server) finishUpload(w http.ResponseWriter, r *http.Request, at route) error {
	leave, err := s.turn(r.Context(), at)
	if err != nil {
		return err
	}
	defer leave()
	return s.finish(w, r, at, r.URL.Query().Get("digest"))
}

func (s *server) finish(w http.ResponseWriter, r *http.Request, at route, digest string) error {
	if err := at.parseDigest(digest); err != nil {
		return err
	}
	_, err := s.withWriter(r, at, s.lastKey(r, at), at.digest, func(cw content.Writer) error {
		if err := s.receive(w, r, at, cw); err != nil {
			return err
		}
		_, err := cw.Commit(r.Context())
		return err
	})
	switch {
	case errors.Is(err, content.ErrCorrupt), conflicts(err):
		s.abort(r.Context(), at)
		return refuse(http.StatusBadRequest, codeDigestInvalid, "the bytes do not have the digest %s", at.digest)
	case err != nil:
		s.giveUp(r.Context(), at, err)
		return err
	}
	s.fresh.drop(at.session)
	s.sessions.end()
	s.metrics.uploadsFinished.Add(1)
	created(w, blobPath(at.name, at.digest), at.digest)
	return nil
}

// sessionWait bounds how long a request waits for another one that writes to
// the same session, whose connection may be dead.
const sessionWait = 10 * time.Second

// withWriter opens the session's ingest for work, and says where it stands
// after it. want is the digest once it is known: who brings it has to bring all of
// it, be it held or not. key is that of the ingest.
func (s *server) withWriter(r *http.Request, at route, key string, want oci.Digest, work func(content.Writer) error) (content.Status, error) {
	repo, err := s.names.repository(r.Context(), at.name)
	if err != nil {
		return content.Status{}, err
	}
	lease, done, err := s.leases.use(r.Context())
	if err != nil {
		return content.Status{}, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(r.Context(), sessionWait)
	defer cancel()
	cw, err := s.store.Writer(ctx, content.IngestOptions{
		Key: key, Expected: want, Total: -1, MediaType: oci.MediaTypeOctets, Lease: lease,
		Repository: repo.Name(), Again: true,
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return content.Status{}, occupied()
	}
	if err != nil {
		return content.Status{}, err
	}
	defer cw.Close()
	if key != "" {
		s.fresh.drop(at.session) // it is the store's now
	}
	if err := work(cw); err != nil {
		return content.Status{}, err
	}
	return cw.Status(), nil
}

// receive appends the request's body, at the place that Content-Range names.
func (s *server) receive(w http.ResponseWriter, r *http.Request, at route, cw content.Writer) error {
	offset := cw.Status().Offset
	rng := r.Header.Get("Content-Range")
	body := patient(w, r)
	src, err := s.bounded(body, offset, r.ContentLength)
	if err != nil {
		return err
	}
	if rng == "" {
		_, err := pour(cw, src, body)
		return err
	}
	start, length, ok := parseContentRange(rng)
	if !ok {
		return refuse(http.StatusBadRequest, codeUploadInvalid, "Content-Range %.60q is no range of bytes", rng)
	}
	misfit := refuse(http.StatusBadRequest, codeSizeInvalid, "Content-Range %.60q does not fit the body", rng)
	if r.ContentLength >= 0 && r.ContentLength != length {
		return misfit
	}
	if start != offset {
		standing(w, at, offset)
		return refuse(http.StatusRequestedRangeNotSatisfiable, codeUploadInvalid, "the next byte of this upload is %d", offset)
	}
	// Of a body without Content-Length only its end tells the length.
	if n, err := pour(cw, io.LimitReader(src, length), body); err != nil || n < length {
		return cmp.Or(err, misfit)
	}
	n, _ := io.ReadFull(body, make([]byte, 1))
	switch {
	case n > 0:
		return misfit
	case body.err != nil:
		return cutOff()
	}
	return nil
}

// pour appends what r reads of body.
func pour(cw content.Writer, r io.Reader, body *patientBody) (int64, error) {
	n, err := io.Copy(cw, r)
	if body.err != nil {
		return n, cutOff()
	}
	return n, err
}

func cutOff() error {
	return refuse(http.StatusBadRequest, codeUploadInvalid, "the body came only in part")
}

// parseContentRange reads first-last, which is how distribution-spec writes it,
// with or without the unit that RFC 9110 wants.
func parseContentRange(s string) (start, length int64, ok bool) {
	s = strings.TrimPrefix(s, "bytes ")
	s, _, _ = strings.Cut(s, "/")
	first, last, _ := strings.Cut(s, "-")
	from, err1 := strconv.ParseUint(first, 10, 62) // digits alone: no sign
	to, err2 := strconv.ParseUint(last, 10, 62)
	if err1 != nil || err2 != nil || to < from {
		return 0, 0, false
	}
	return int64(from), int64(to-from) + 1, true
}

// cancelUpload answers DELETE.
func (s *server) cancelUpload(w http.ResponseWriter, r *http.Request, at route) error {
	leave, err := s.turn(r.Context(), at)
	if err != nil {
		return err
	}
	defer leave()
	if !s.fresh.drop(at.session) {
		err := s.store.Abort(r.Context(), key(at))
		if conflicts(err) {
			return occupied() // at another server over the same store
		}
		if err != nil && !errors.Is(err, content.ErrNotFound) {
			return err
		}
	}
	s.sessions.end()
	s.metrics.uploadsCancelled.Add(1)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// abort gives a session up whose content is not wanted; what cannot be removed
// now goes when its lease does.
func (s *server) abort(ctx context.Context, at route) {
	if s.fresh.drop(at.session) || s.store.Abort(context.WithoutCancel(ctx), key(at)) == nil {
		s.sessions.end()
		s.metrics.uploadsFailed.Add(1)
	}
}

// stall is how long a client may send nothing in the middle of a body.
const stall = time.Minute

// patientBody reads a body as long as something of it comes every now and then,
// and remembers how it broke.
type patientBody struct {
	body  io.Reader
	conn  *http.ResponseController
	limit time.Duration
	err   error
}

func patient(w http.ResponseWriter, r *http.Request) *patientBody {
	return &patientBody{body: r.Body, conn: http.NewResponseController(w), limit: stall}
}

// Read implements io.Reader.
func (b *patientBody) Read(p []byte) (int, error) {
	// Not every ResponseWriter has a deadline; those of a network have.
	_ = b.conn.SetReadDeadline(time.Now().Add(b.limit))
	n, err := b.body.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		_ = b.conn.SetReadDeadline(time.Time{})
	case err != nil:
		b.err = err // the deadline stays, for whoever tries to read the rest
	}
	return n, err
}
