package registryclient

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

// proxyVariables are all that are looked at.
var proxyVariables = []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "REQUEST_METHOD"}

func setProxies(t *testing.T, values map[string]string) {
	t.Helper()
	for _, name := range proxyVariables {
		t.Setenv(name, values[name])
	}
}

// relay is a proxy that leads everything to one address, and writes down what it
// was asked for.
type relay struct {
	to   string
	mu   sync.Mutex
	seen []string // METHOD HOST, and whom it was asked by
	auth []string
}

func (p *relay) log(r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, r.Method+" "+r.Host)
	p.auth = append(p.auth, r.Header.Get("Proxy-Authorization"))
}

func (p *relay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.log(r)
	if r.Method != http.MethodConnect {
		(&httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) { pr.Out.URL.Host = p.to }}).ServeHTTP(w, r)
		return
	}
	there, err := net.Dial("tcp", p.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer there.Close()
	here, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	_, _ = io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
	join(here, there)
}

// join copies both ways until one side ends.
func join(a, b net.Conn) {
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{a, b}, {b, a}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			done <- struct{}{}
		}()
	}
	<-done
}

func startRelay(t *testing.T, to string) (*relay, string) {
	t.Helper()
	p := &relay{to: to}
	s := httptest.NewServer(p)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return p, strings.TrimPrefix(s.URL, "http://")
}

// named is a registry r.example.com, in scheme: a name that the certificates of
// httptest are good for.
func named(t *testing.T, f *fake, scheme, more string) *Repository {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "r.example.com", "ca.pem"), f.authority)
	text := fmt.Sprintf("server = \"%s://r.example.com\"\n%s", scheme, more)
	if scheme == "https" {
		text += "ca = \"ca.pem\"\n"
	}
	writeFile(t, filepath.Join(dir, "r.example.com", "hosts.toml"), text)
	return repositoryAt(t, "r.example.com", func(o *Options) { o.HostsDirs = []string{dir} })
}

func TestThroughAProxy(t *testing.T) {
	for name, tc := range map[string]struct{ variable, scheme, asked string }{
		"plain":                 {"HTTP_PROXY", "http", "GET r.example.com"},
		"plain, lower case":     {"http_proxy", "http", "GET r.example.com"},
		"tunnel":                {"HTTPS_PROXY", "https", "CONNECT r.example.com:443"},
		"plain, for everything": {"ALL_PROXY", "http", "GET r.example.com"},
		"tunnel for everything": {"all_proxy", "https", "CONNECT r.example.com:443"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			if tc.scheme == "https" {
				f = tlsFake(t, nil)
			}
			a := f.addBlob(100_000)
			p, addr := startRelay(t, f.url.Host)
			setProxies(t, map[string]string{tc.variable: "http://ann:secret@" + addr})
			mustFetch(t, f, named(t, f, tc.scheme, ""), a)
			if len(p.seen) == 0 || p.seen[0] != tc.asked || !strings.HasPrefix(p.auth[0], "Basic ") {
				t.Errorf("the proxy was asked for %q by %q", p.seen, p.auth)
			}
		})
	}
}

func TestProxyOfHostsTOML(t *testing.T) {
	f := newFake(t)
	a := f.addBlob(1000)
	p, addr := startRelay(t, f.url.Host)
	setProxies(t, map[string]string{"HTTP_PROXY": unheard(t), "NO_PROXY": "r.example.com"})
	mustFetch(t, f, named(t, f, "http", "proxy = \"http://"+addr+"\"\n"), a)
	if len(p.seen) == 0 {
		t.Error("the proxy was not asked")
	}
}

func TestThroughSocks(t *testing.T) {
	f := newFake(t)
	a := f.addBlob(1000)
	addr, wanted := socks(t, f.url.Host)
	setProxies(t, map[string]string{"ALL_PROXY": "socks5h://" + addr})
	mustFetch(t, f, named(t, f, "http", ""), a)
	if got := <-wanted; got != "r.example.com:80" {
		t.Errorf("asked for %q", got)
	}
}

// socks is a SOCKS5 proxy (RFC 1928) without authentication that leads everything
// to one address. wanted is the first name it was asked for.
func socks(t *testing.T, to string) (addr string, wanted chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	wanted = make(chan string, 16)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				head := make([]byte, 2)
				_, _ = io.ReadFull(c, head)
				_, _ = io.CopyN(io.Discard, c, int64(head[1]))
				_, _ = c.Write([]byte{5, 0})
				req := make([]byte, 5)
				_, _ = io.ReadFull(c, req) // version, connect, 0, a name, its length
				rest := make([]byte, int(req[4])+2)
				_, _ = io.ReadFull(c, rest)
				wanted <- fmt.Sprintf("%s:%d", rest[:req[4]], binary.BigEndian.Uint16(rest[req[4]:]))
				there, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer there.Close()
				_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
				join(c, there)
			}()
		}
	}()
	return l.Addr().String(), wanted
}

func TestWhoNeedsAProxy(t *testing.T) {
	setProxies(t, map[string]string{
		"HTTPS_PROXY": "https.test:1", "ALL_PROXY": "socks5://all.test",
		"NO_PROXY": "direct.test, .below.test,*.under.test , 10.0.0.0/8,192.168.1.1,port.test:5000,[2001:db8::1]",
	})
	p, err := environmentProxies()
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"https://r.test":    "http://https.test:1",
		"http://r.test":     "socks5://all.test",
		"https://localhost": "", "http://127.1.2.3:80": "", "https://[::1]:5": "",
		"https://direct.test": "", "https://a.direct.test:5000": "", "https://indirect.test": "http://https.test:1",
		"https://a.below.test": "", "https://below.test": "http://https.test:1",
		"https://a.under.test": "", "https://under.test": "http://https.test:1",
		"https://10.1.2.3": "", "https://11.1.2.3": "http://https.test:1",
		"https://192.168.1.1:5000": "", "https://[2001:db8::1]": "",
		"https://port.test:5000": "", "https://port.test": "http://https.test:1", "https://DIRECT.test": "",
	} {
		u, _ := url.Parse(address)
		got := ""
		if proxy, _ := p.of(u); proxy != nil {
			got = proxy.String()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	setProxies(t, map[string]string{"HTTPS_PROXY": "https.test", "NO_PROXY": "a,*"})
	if p, err = environmentProxies(); err != nil || !p.all {
		t.Errorf("NO_PROXY=*: %+v, %v", p, err)
	}
	setProxies(t, map[string]string{"HTTP_PROXY": "http.test", "REQUEST_METHOD": "GET"})
	if p, err = environmentProxies(); err != nil || p.http != nil {
		t.Errorf("a program run for a web server believes its client: %v, %v", p.http, err)
	}
}

func TestAProxysPasswordIsNeverShown(t *testing.T) {
	ref := oci.Reference{Registry: "r.test", Repository: "team/app"}
	for _, bad := range []string{"ftp://ann:secret@p.test", "http://ann:secret@p.test/path", "http://ann:secret@", "%zz:secret@p"} {
		setProxies(t, map[string]string{"HTTPS_PROXY": bad})
		_, err := testClient(t, nil).route(ref)
		wantClass(t, err, content.ErrInvalid)
		if strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "HTTPS_PROXY") {
			t.Errorf("%v", err)
		}
	}
	setProxies(t, map[string]string{"HTTPS_PROXY": "http://ann:secret@" + unheard(t)})
	c := testClient(t, func(o *Options) { o.Retries = -1 })
	_, err := c.Repository(ref).Resolve(context.Background(), oci.Reference{Tag: "v1"})
	wantClass(t, err, content.ErrUnavailable)
	route, explainErr := c.Explain(context.Background(), ref)
	if all := fmt.Sprint(err, content.Hint(err), route, explainErr); strings.Contains(all, "secret") || strings.Contains(all, "ann") {
		t.Errorf("%s", all)
	}
	if route.Endpoints[0].ProxyFrom != "HTTPS_PROXY" {
		t.Errorf("%+v", route.Endpoints[0])
	}
}
