package registryclient

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
	"unicode"

	"dist.example/content"
)

const (
	maxErrorBody = 64 << 10
	// errorTime is how long the words of a refusal are listened to.
	errorTime = 20 * time.Second
)

var (
	errStalled  = errors.New("no byte came in time")
	errSlow     = errors.New("the answer takes too long")
	errTooMany  = errors.New("more than 10 redirects")
	errBadRange = errors.New("the answer is not the range that was asked for")
	// errBadAddress is about addresses that a registry gives and nobody follows.
	errBadAddress = errors.New("refused")
)

// apiError is one entry of a registry's error answer (distribution-spec, error
// codes).
type apiError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// answerError turns an answer that was not hoped for into an error of its class,
// and closes it. what says what was asked: "manifest latest", "blob sha256:…".
func (r *Repository) answerError(e *endpoint, what string, resp *http.Response, sent bool) error {
	apiErrs, text := readErrorBody(resp)
	class := statusClass(resp.Request.Method, resp.StatusCode, apiErrs)
	msg := fmt.Sprintf("%s answered %d", e.host(), resp.StatusCode)
	if text != "" {
		msg += " " + text
	}
	err := fmt.Errorf("%s in %s: %w: %s", what, r.ref.Name(), class, msg)
	remote := &content.RemoteError{
		Registry:  e.host(),
		Status:    resp.StatusCode,
		Retryable: errors.Is(class, content.ErrUnavailable),
		Err:       err,
	}
	if resp.StatusCode == http.StatusBadRequest && len(apiErrs) == 0 && e.base.Scheme == "http" {
		return content.WithHint(remote, "it was asked in plain HTTP, which a server that speaks TLS refuses: if it does, "+
			"leave out --plain-http; on this machine, put its authority into ~/.config/containers/certs.d/%s/ca.crt", e.host())
	}
	return r.hint(remote, class, sent)
}

// hint adds what to do next. A refusal in the registry's own words, a 403, is
// about rights or about the registry, not about credentials that are missing.
func (r *Repository) hint(err error, class error, sent bool) error {
	var remote *content.RemoteError
	switch {
	case errors.As(err, &remote) && remote.Status == http.StatusForbidden && !sent:
		return err
	case errors.Is(class, content.ErrDenied) && r.given != nil && sent:
		return content.WithHint(err, "the user name or the password is wrong, or has expired; nothing was kept")
	case errors.Is(class, content.ErrDenied) && r.given != nil:
		return content.WithHint(err, "the registry does not ask for what was given to it: a password, or an identity token; nothing was kept")
	case errors.Is(class, content.ErrDenied) && sent:
		return content.WithHint(err, "credentials were sent and do not suffice: check their rights on %s", r.ref.Name())
	case errors.Is(class, content.ErrDenied):
		return content.WithHint(err, "no credentials were found for %[1]s: \"dist login %[1]s\" keeps them, --auth-file names a file that has them", r.whose(remote))
	}
	return err
}

// whose credentials were missing: a mirror's go by its own name.
func (r *Repository) whose(remote *content.RemoteError) string {
	if remote == nil {
		return r.ref.Registry
	}
	return credentialHost("", remote.Registry)
}

// codeClasses are the codes of the specification that say more than the status
// they come with.
var codeClasses = map[string]error{
	"DIGEST_INVALID":        content.ErrCorrupt,
	"SIZE_INVALID":          content.ErrCorrupt,
	"MANIFEST_BLOB_UNKNOWN": content.ErrNotFound,
	"UNSUPPORTED":           content.ErrUnsupported,
	"TOOMANYREQUESTS":       content.ErrUnavailable,
}

// statusClass is the class of a refusal of a request with method.
func statusClass(method string, status int, errs []apiError) error {
	switch status {
	case http.StatusInsufficientStorage:
		if method != http.MethodGet && method != http.MethodHead { // else others may have it
			return content.ErrNoSpace
		}
	case http.StatusPreconditionFailed:
		return content.ErrConflict // there is no code for it
	case http.StatusRequestEntityTooLarge:
		return content.ErrUnsupported // a limit, and not a size that is wrong, whatever its code
	}
	if status/100 == 4 && len(errs) > 0 && codeClasses[errs[0].Code] != nil {
		return codeClasses[errs[0].Code]
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return content.ErrDenied
	case http.StatusNotFound, http.StatusGone:
		return content.ErrNotFound
	case http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusUnsupportedMediaType,
		http.StatusNotImplemented, http.StatusRequestedRangeNotSatisfiable:
		return content.ErrUnsupported
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusTooEarly:
		return content.ErrUnavailable
	case http.StatusConflict:
		return content.ErrConflict
	}
	if status/100 == 4 {
		return content.ErrInvalid
	}
	return content.ErrUnavailable
}

// transientStatus says whether the same request may be answered better later.
func transientStatus(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// readErrorBody reads what the registry says about its refusal, bounded, and
// closes the body.
func readErrorBody(resp *http.Response) ([]apiError, string) {
	defer resp.Body.Close()
	defer hurry(resp, errorTime)()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil || len(data) == 0 {
		return nil, ""
	}
	var body struct {
		Errors []apiError `json:"errors"`
	}
	if json.Unmarshal(data, &body) == nil && len(body.Errors) > 0 {
		e := body.Errors[0]
		return body.Errors, strings.TrimSuffix(printable(e.Code, 60)+": "+printable(e.Message, 300), ": ")
	}
	if strings.Contains(resp.Header.Get("Content-Type"), "html") {
		return nil, "" // a proxy's error page says nothing to a reader
	}
	return nil, printable(string(data), 200)
}

// printable is s for a terminal: one line, no control characters, at most limit
// bytes.
func printable(s string, limit int) string {
	s = strings.TrimSpace(s)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
}

// withoutSecrets is what a message may show of an address that need not be one:
// neither a user with his password nor a query, which may be a signature.
func withoutSecrets(address string) string {
	address, _, _ = strings.Cut(address, "?")
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		scheme, rest = "", address
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	if ok {
		rest = scheme + "://" + rest
	}
	return printable(rest, 200)
}

// connError is the error of a request that got no answer, or a broken one.
func (r *Repository) connError(e *endpoint, what string, err error) error {
	out := error(&content.RemoteError{
		Registry:  e.host(),
		Retryable: !fatalConn(err),
		Err:       fmt.Errorf("%s in %s: %w: %s: %w", what, r.ref.Name(), content.ErrUnavailable, e.host(), shorten(err)),
	})
	if speaksHTTP(err) {
		return content.WithHint(out, "the registry speaks plain HTTP: use --plain-http or name http://%s in a hosts.toml", e.host())
	}
	if isCertificate(err) {
		return content.WithHint(out, "put the registry's authority into ~/.config/containers/certs.d/%s/ca.crt", e.host())
	}
	return out
}

// shorten drops the method and address that net/http puts before an error: the
// address may be a signed one. An io.EOF would be taken for the end of content.
func shorten(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// fatalConn says that trying again would meet the same error.
func fatalConn(err error) bool {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns.IsNotFound
	}
	return isCertificate(err) || errors.Is(err, errTooMany) || errors.Is(err, errSlow) || errors.Is(err, errBadAddress) || speaksHTTP(err)
}

// speaksHTTP says that the other side answered a TLS greeting in plain HTTP.
func speaksHTTP(err error) bool {
	var header tls.RecordHeaderError
	return errors.As(err, &header) && string(header.RecordHeader[:]) == "HTTP/"
}

// refused says that nobody listens. Windows has a number of its own for it.
func refused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || strings.Contains(err.Error(), "refused it")
}

// retryAfter reads the header of that name, in seconds or as a date; 0 when
// there is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	if d, err := time.ParseDuration(v + "s"); err == nil {
		return max(d, 0)
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}
