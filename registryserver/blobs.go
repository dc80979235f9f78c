package registryserver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// getBlob answers GET and HEAD with the blob or the asked-for part of it.
func (s *server) getBlob(w http.ResponseWriter, r *http.Request, at route) error {
	in, err := s.hasOne(r.Context(), at)
	if err != nil {
		return err
	}
	if !in {
		return unknownBlob(at.digest)
	}
	if r.Method == http.MethodHead {
		return s.headBlob(w, r, at)
	}
	ra, err := s.lib.ReaderAt(r.Context(), oci.Descriptor{Digest: at.digest, Size: -1})
	if absent(err) {
		return unknownBlob(at.digest)
	}
	if err != nil {
		return err
	}
	defer ra.Close()
	return serve(w, r, at.digest, oci.MediaTypeOctets, seekable(ra))
}

// headBlob answers from the catalog alone: clients ask for each layer of an image
// whether it is there, and for its size.
func (s *server) headBlob(w http.ResponseWriter, r *http.Request, at route) error {
	body, err := s.unread(r.Context(), at.digest)
	if absent(err) {
		return unknownBlob(at.digest)
	}
	if err != nil {
		return err
	}
	return serve(w, r, at.digest, oci.MediaTypeOctets, body)
}

// unread stands for a blob that is held where only its size is asked for.
func (s *server) unread(ctx context.Context, d oci.Digest) (io.ReadSeeker, error) {
	info, err := s.lib.Info(ctx, d)
	if err == nil && info.Place == "damaged" {
		err = fmt.Errorf("blob %s: %w: it is damaged", d, content.ErrCorrupt)
	}
	return io.NewSectionReader(strings.NewReader(""), 0, info.Size), err
}

func unknownBlob(d oci.Digest) error {
	return refuse(http.StatusNotFound, codeBlobUnknown, "no blob %s", d)
}

// serve answers with content that never changes: ranges, conditions and HEAD
// are ServeContent's, which also hands files to the kernel. What it refuses is an error.
func serve(w http.ResponseWriter, r *http.Request, d oci.Digest, mediaType string, body io.ReadSeeker) error {
	describe(w.Header(), d, mediaType)
	r.Header.Set("Range", rangeOf(r))
	ours := &ownWords{ResponseWriter: w}
	http.ServeContent(ours, r, "", time.Time{}, body)
	switch ours.refused {
	case 0:
		return nil
	case http.StatusPreconditionFailed:
		return preconditionFailed()
	case http.StatusRequestedRangeNotSatisfiable:
		return refuse(ours.refused, codeUnsupported, "%s has nothing at the range that is asked for", d)
	}
	return fmt.Errorf("read %s: %w: its size cannot be found out", d, content.ErrUnavailable)
}

// ownWords keeps a refusal of net/http's from being sent, which is no JSON.
type ownWords struct {
	http.ResponseWriter
	refused int // the status of a refusal
}

// WriteHeader implements http.ResponseWriter.
func (o *ownWords) WriteHeader(status int) {
	if status >= http.StatusBadRequest {
		o.refused = status
		return
	}
	o.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (o *ownWords) Write(p []byte) (int, error) {
	if o.refused != 0 {
		return len(p), nil
	}
	return o.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom, which is how files go to the kernel.
func (o *ownWords) ReadFrom(r io.Reader) (int64, error) { return io.Copy(o.ResponseWriter, r) }

// beyond is a place that no blob has.
const beyond = "9223372036854775807"

// rangeOf is the Range of r, "" for none, in the form in which net/http reads it
// right (RFC 9110, 14): only a GET has one, one in another unit than bytes is none,
// the last 0 bytes are not there, and a number of any length is one.
func rangeOf(r *http.Request) string {
	unit, set, _ := strings.Cut(r.Header.Get("Range"), "=")
	if r.Method != http.MethodGet || !strings.EqualFold(unit, "bytes") {
		return ""
	}
	parts := strings.Split(set, ",")
	for i, part := range parts {
		first, last, _ := strings.Cut(strings.TrimSpace(part), "-")
		switch {
		case first == "" && last != "" && strings.Trim(last, "0") == "":
			parts[i] = beyond + "-"
		case len(last) >= len(beyond) && strings.Trim(last, "0123456789") == "":
			parts[i] = first + "-" + beyond
		}
	}
	return "bytes=" + strings.Join(parts, ",")
}

func describe(h http.Header, d oci.Digest, mediaType string) {
	h.Set("Content-Type", mediaType)
	h.Set("Docker-Content-Digest", d.String())
	h.Set("ETag", `"`+d.String()+`"`)
}

// seekable reads ra from its beginning: by its file where the blob is in one.
func seekable(ra content.ReaderAt) io.ReadSeeker {
	if s := newStretch(ra); s != nil {
		return s
	}
	return io.NewSectionReader(ra, 0, ra.Size())
}

func (s *server) deleteBlob(w http.ResponseWriter, r *http.Request, at route) error {
	in, err := s.hasOne(r.Context(), at)
	if err != nil {
		return err
	}
	if !in {
		return unknownBlob(at.digest)
	}
	if err := holds(r, at.digest); err != nil {
		return err
	}
	if err := s.remove(r.Context(), at); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
