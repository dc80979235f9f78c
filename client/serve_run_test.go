package client

import (
	"net"
	"strings"
	"testing"

	"dist.example/registryserver"
)

func TestWhatIsOpenToOtherMachinesIsSaid(t *testing.T) {
	here, all := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, &net.TCPAddr{IP: net.IPv6zero, Port: 1}
	secured := registryserver.TLSFiles{Cert: "c", Key: "k"}
	clients := registryserver.TLSFiles{Cert: "c", Key: "k", ClientCA: "a"}
	users := AccessOptions{Htpasswd: "users"}
	for name, c := range map[string]struct {
		addr net.Addr
		o    ServeOptions
		want string // a part of it, "" for nothing at all
	}{
		"loopback":                {here, ServeOptions{Writable: true}, ""},
		"a socket":                {&net.UnixAddr{Name: "s", Net: "unix"}, ServeOptions{Writable: true}, ""},
		"HTTP":                    {all, ServeOptions{}, "what goes to and fro can be read"},
		"HTTP with users":         {all, ServeOptions{Writable: true, Access: users}, "passwords, and all else"},
		"HTTP that takes pushes":  {all, ServeOptions{Writable: true}, "everybody there can push and delete"},
		"HTTPS":                   {all, ServeOptions{TLS: secured}, ""},
		"HTTPS with users":        {all, ServeOptions{Writable: true, TLS: secured, Access: users}, ""},
		"HTTPS with certificates": {all, ServeOptions{Writable: true, TLS: clients}, ""},
		"HTTPS that takes pushes": {all, ServeOptions{Writable: true, TLS: secured}, "everybody there can push and delete"},
	} {
		got := exposure(c.addr, c.o)
		if !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
