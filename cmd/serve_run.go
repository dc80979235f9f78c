package cmd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"dist.example/client"
	"dist.example/registryserver"
)

// runFlags say how a server runs.
type runFlags struct {
	TLSCert     string   `type:"path" placeholder:"FILE" and:"tls" help:"Certificate to serve HTTPS with, in PEM, followed by those between it and its authority. It is read anew when it changes."`
	TLSKey      string   `type:"path" placeholder:"FILE" and:"tls" help:"Private key of the certificate."`
	TLSClientCA string   `type:"path" placeholder:"FILE" help:"Let only clients in that have a certificate of one of these authorities."`
	MaxBlob     byteSize `placeholder:"SIZE" help:"Largest blob to accept, for example 20G (no limit by default). Manifests have 4 MiB at most in any case."`
	MaxUploads  ceiling  `default:"1000" placeholder:"N" help:"Uploads that may be open at once, interrupted ones included (${default} by default); 0 lifts it."`
	MaxRequests ceiling  `default:"512" placeholder:"N" help:"Requests answered at once (${default} by default); 0 lifts it. Who comes on top is told to come again."`
	Drain       span     `default:"5s" placeholder:"TIME" help:"How long requests may still take after Ctrl-C or SIGTERM (${default} by default)."`
	Log         logKind  `placeholder:"KIND" help:"Write a line for each request to stderr: --log or --log=text, or --log=json."`
	LogFile     string   `type:"path" placeholder:"FILE" help:"Write the log to the end of FILE instead. It is opened anew on SIGHUP, for who has moved it away."`
}

// fill puts the flags into o.
func (f runFlags) fill(o *client.ServeOptions) error {
	if f.TLSClientCA != "" && f.TLSCert == "" {
		return usagef("--tls-client-ca needs --tls-cert and --tls-key")
	}
	o.TLS = registryserver.TLSFiles{Cert: f.TLSCert, Key: f.TLSKey, ClientCA: f.TLSClientCA}
	o.Limits = registryserver.Limits{Blob: int64(f.MaxBlob), Uploads: f.MaxUploads.limit(), Requests: f.MaxRequests.limit()}
	if o.Drain = time.Duration(f.Drain); o.Drain == 0 {
		o.Drain = -1
	}
	o.Version = release()
	return nil
}

// url is where clients reach a server at addr.
func (f runFlags) url(addr net.Addr) string {
	switch {
	case addr.Network() == "unix":
		return "unix:" + addr.String()
	case f.TLSCert != "":
		return "https://" + addr.String()
	}
	return "http://" + addr.String()
}

// noSize says that a text is no number of bytes.
func noSize(text []byte) error {
	return usagef("%q is no size such as 500M, 20G or 1.5GiB (K, M, G and T are powers of 1024)", text)
}

// byteSize is a number of bytes; 0 is no limit.
type byteSize int64

// UnmarshalText takes 20G, 500M, 1.5MiB, 2048 as byteRate does; empty is no limit.
func (b *byteSize) UnmarshalText(text []byte) error {
	if (*byteRate)(b).UnmarshalText(text) != nil {
		return noSize(text)
	}
	return nil
}

// ceiling is a number of things; 0 is no limit.
type ceiling int

// UnmarshalText takes 0 to a million.
func (c *ceiling) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 0 || n > 1_000_000 {
		return usagef("%q is no number from 0 to 1000000", text)
	}
	*c = ceiling(n)
	return nil
}

// limit is c as registryserver.Limits has it.
func (c ceiling) limit() int {
	if c == 0 {
		return -1
	}
	return int(c)
}

// logKind is how requests are logged; "" is not at all.
type logKind string

// Decode takes text and json; a flag without a value is text.
func (k *logKind) Decode(ctx *kong.DecodeContext) error {
	*k = "text"
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		return nil
	}
	word, _ := ctx.Scan.Pop().Value.(string)
	switch word {
	case "text", "true":
	case "json":
		*k = "json"
	case "false":
		*k = ""
	default:
		return usagef("%q is no kind of log: text or json", word)
	}
	return nil
}

// IsBool says that the flag needs no value.
func (*logKind) IsBool() bool { return true }

// logger is what requests are logged to, nil for nothing. A file alone is a log in
// text.
func (f runFlags) logger(s *session) (*slog.Logger, error) {
	if f.Log == "" && f.LogFile == "" {
		return nil, nil
	}
	out := s.stderr
	if f.LogFile != "" {
		file, err := openLog(s.ctx, f.LogFile, s.warn)
		if err != nil {
			return nil, err
		}
		s.closers = append(s.closers, file.Close)
		out = file
	}
	if f.Log == "json" {
		return slog.New(slog.NewJSONHandler(out, nil)), nil
	}
	return slog.New(slog.NewTextHandler(out, nil)), nil
}

// logFile is a file that grows at its end, and is opened anew on SIGHUP.
type logFile struct {
	path   string
	warn   func(string)
	hangup chan os.Signal

	mu     sync.Mutex
	file   *os.File
	broken bool // the last line could not be written, and that has been said
}

var _ io.WriteCloser = (*logFile)(nil)

func openLog(ctx context.Context, path string, warn func(string)) (*logFile, error) {
	l := &logFile{path: path, warn: warn, hangup: make(chan os.Signal, 1)}
	if err := l.reopen(); err != nil {
		return nil, err
	}
	signal.Notify(l.hangup, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-l.hangup:
				if err := l.reopen(); err != nil {
					l.warn(err.Error() + "; it goes on in the file from before")
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return l, nil
}

// reopen opens what is at the path now. What was open stays so if that fails.
func (l *logFile) reopen() error {
	// It names users, which is nobody else's business.
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.file.Close()
	}
	l.file = f
	return nil
}

// Write implements io.Writer. The first line that cannot be written is told of.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.file.Write(p)
	if err != nil && !l.broken {
		l.warn(fmt.Sprintf("write log %s: %v", l.path, err))
	}
	l.broken = err != nil
	return n, err
}

// Close implements io.Closer.
func (l *logFile) Close() error {
	signal.Stop(l.hangup)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("close log %s: %w", l.path, err)
	}
	return nil
}
