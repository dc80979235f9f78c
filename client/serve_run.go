package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"dist.example/content"
	"dist.example/registryserver"
)

// unixPrefix is how an address begins that is a socket in the file system.
const unixPrefix = "unix:"

// listen opens o.Addr, and warns of what everybody on the network can do and read.
func (c *Client) listen(ctx context.Context, o ServeOptions) (net.Listener, error) {
	network, addr := "tcp", o.Addr
	if path, ok := strings.CutPrefix(o.Addr, unixPrefix); ok {
		if path == "" { // the system would make up a name
			return nil, fmt.Errorf("serve on %s: %w: want unix:PATH", o.Addr, content.ErrInvalid)
		}
		network, addr = "unix", path
		clearSocket(ctx, path)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, network, addr)
	if err != nil {
		return nil, listenError(o.Addr, err)
	}
	if text := exposure(ln.Addr(), o); text != "" {
		c.opts.Warn(text)
	}
	return ln, nil
}

// exposure says what is open to other machines that can reach addr, "" for nothing that
// was not asked for. It is no error: there may be a proxy before it, or a network that
// is trusted.
func exposure(addr net.Addr, o ServeOptions) string {
	ip, ok := addr.(*net.TCPAddr)
	plain, known := o.TLS.Cert == "", o.Access.Htpasswd != "" || o.TLS.ClientCA != ""
	var what string
	switch {
	case !ok || ip.IP.IsLoopback():
		return ""
	case plain && known:
		what = "passwords, and all else that goes to and fro, can be read on the way (see --tls-cert)"
	case o.Writable && !known:
		what = "everybody there can push and delete (see --htpasswd)"
	case plain:
		what = "what goes to and fro can be read on the way (see --tls-cert)"
	default:
		return ""
	}
	return fmt.Sprintf("%s can be reached from other machines: %s", addr, what)
}

// listenError gives err its class, and a hint to what would do.
func listenError(addr string, err error) error {
	var class error = content.ErrInvalid
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		class = content.ErrConflict
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		class = content.ErrDenied
	}
	err = fmt.Errorf("serve on %s: %w: %v", addr, class, err)
	switch {
	case strings.HasPrefix(addr, unixPrefix):
		return err
	case class == content.ErrInvalid:
		return content.WithHint(err, "--addr wants HOST:PORT of this machine, such as 127.0.0.1:5000, or 0.0.0.0:5000 for all its addresses")
	}
	return content.WithHint(err, "--addr 127.0.0.1:0 takes a free port")
}

// clearSocket removes a socket that a server has left behind which did not end in
// good order. One that somebody answers at stays.
func clearSocket(ctx context.Context, path string) {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		conn.Close()
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path) // if it stays, listening says so
	}
}

// certificates reads what o.TLS names, nil for nothing.
func (c *Client) certificates(o ServeOptions) (*registryserver.Certificates, error) {
	if o.TLS == (registryserver.TLSFiles{}) {
		return nil, nil
	}
	if o.TLS.Cert == "" || o.TLS.Key == "" {
		return nil, fmt.Errorf("serve: %w: TLS needs a certificate and its key", content.ErrInvalid)
	}
	return registryserver.LoadCertificates(o.TLS, c.opts.Warn)
}
