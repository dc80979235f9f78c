package registryserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"dist.example/content"
	"dist.example/oci"
)

// code is an error code of distribution-spec.
type code string

const (
	codeBlobUnknown         code = "BLOB_UNKNOWN"
	codeUploadInvalid       code = "BLOB_UPLOAD_INVALID"
	codeUploadUnknown       code = "BLOB_UPLOAD_UNKNOWN"
	codeDigestInvalid       code = "DIGEST_INVALID"
	codeManifestBlobUnknown code = "MANIFEST_BLOB_UNKNOWN"
	codeManifestInvalid     code = "MANIFEST_INVALID"
	codeManifestUnknown     code = "MANIFEST_UNKNOWN"
	codeNameInvalid         code = "NAME_INVALID"
	codeNameUnknown         code = "NAME_UNKNOWN"
	codeSizeInvalid         code = "SIZE_INVALID"
	codeDenied              code = "DENIED"
	codeUnauthorized        code = "UNAUTHORIZED"
	codeUnsupported         code = "UNSUPPORTED"
	codeTooManyRequests     code = "TOOMANYREQUESTS"
	codeUnknown             code = "UNKNOWN"
)

// problem is an answer that is an error: what the client is told.
type problem struct {
	status  int
	code    code
	message string
}

func (p *problem) Error() string { return p.message }

func refuse(status int, c code, format string, args ...any) error {
	return &problem{status, c, fmt.Sprintf(format, args...)}
}

// classes is the one table from classes of errors to answers, for errors that
// no handler has translated. Their text may name files: it is not sent.
var classes = []struct {
	class error
	problem
}{
	{content.ErrNotFound, problem{http.StatusNotFound, codeNameUnknown, "not found"}},
	{content.ErrInvalid, problem{http.StatusBadRequest, codeUnsupported, "malformed request"}},
	{content.ErrDenied, problem{http.StatusForbidden, codeDenied, "the store refuses access"}},
	{content.ErrBusy, problem{http.StatusServiceUnavailable, codeTooManyRequests, "the store is busy"}},
	{content.ErrConflict, problem{http.StatusConflict, codeDenied, "the content is in use"}},
	{content.ErrNoSpace, problem{http.StatusInsufficientStorage, codeDenied, "no space left in the store"}},
	{content.ErrUnavailable, problem{http.StatusServiceUnavailable, codeTooManyRequests, "the store is busy"}},
	{context.DeadlineExceeded, problem{http.StatusServiceUnavailable, codeTooManyRequests, "the store is busy"}},
	{context.Canceled, problem{http.StatusServiceUnavailable, codeTooManyRequests, "the request was cancelled"}},
}

// explain finds the answer for err.
func explain(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	for _, c := range classes {
		if errors.Is(err, c.class) {
			return &c.problem
		}
	}
	return &problem{http.StatusInternalServerError, codeUnknown, "internal error"}
}

// writeError answers with the spec's JSON.
func writeError(w http.ResponseWriter, err error) {
	p := explain(err)
	type entry struct {
		Code    code   `json:"code"`
		Message string `json:"message"`
	}
	body, err := json.Marshal(map[string][]entry{"errors": {{p.code, p.message}}})
	if err != nil {
		body = nil // two strings: cannot be
	}
	busy := p.status == http.StatusServiceUnavailable || p.status == http.StatusTooManyRequests
	if busy && w.Header().Get("Retry-After") == "" {
		w.Header().Set("Retry-After", "1")
	}
	if p.status == http.StatusMethodNotAllowed && w.Header().Get("Allow") == "" {
		w.Header().Set("Allow", "GET, HEAD") // all else here changes something
	}
	w.Header().Set("Content-Type", oci.MediaTypeJSON)
	w.WriteHeader(p.status)
	_, _ = w.Write(body)
}

// conflicts says whether err is about what was asked for, and not about a store that
// was busy with something else.
func conflicts(err error) bool {
	return errors.Is(err, content.ErrConflict) && !errors.Is(err, content.ErrBusy)
}

// absent says whether err means that something cannot be had here: because it
// is not held, or because its bytes went bad, which a client mends by pushing
// it again.
func absent(err error) bool {
	return errors.Is(err, content.ErrNotFound) || errors.Is(err, content.ErrCorrupt)
}
