package registryclient

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

func TestExplain(t *testing.T) {
	setProxies(t, map[string]string{"HTTPS_PROXY": "http://u:secret@env.test:3128"})
	dir := t.TempDir()
	hosts := filepath.Join(dir, "r.test", "hosts.toml")
	f := tlsFake(t, nil)
	cert := filepath.Join(dir, "r.test", "both.pem")
	_, certPEM, keyPEM := clientCert(t)
	writeFile(t, cert, certPEM+keyPEM)
	writeFile(t, filepath.Join(dir, "r.test", "ca.pem"), f.authority)
	writeFile(t, hosts, `
server = "https://up.test/root"
ca = "ca.pem"
client = "both.pem"
proxy = "http://u:secret@file.test"
[header]
x-key = "secret"
[host."http://m.test"]
capabilities = ["pull"]
dial_timeout = "1s"
[host."https://n.test"]
skip_verify = true
`)
	auth := authFileFor(t, "up.test", "ann", "secret")
	var file string
	c := testClient(t, func(o *Options) { auth(o); o.HostsDirs = []string{dir}; file = o.AuthFile })
	got, err := c.Explain(context.Background(), oci.Reference{Registry: "r.test", Repository: "team/app", Tag: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	want := Route{Registry: "r.test", Repository: "team/app", File: hosts, Endpoints: []Endpoint{
		{
			URL: "http://m.test/v2", Repository: "team/app", Namespace: "r.test", Mirror: true,
			Capabilities: []string{"pull"}, PlainHTTP: true, DialTimeout: time.Second,
		},
		{
			URL: "https://n.test/v2", Repository: "team/app", Namespace: "r.test", Mirror: true,
			Capabilities: []string{"pull", "resolve"}, SkipVerify: true, DialTimeout: 3 * time.Second,
			Proxy: "http://env.test:3128", ProxyFrom: "HTTPS_PROXY",
		},
		{
			URL: "https://up.test/root/v2", Repository: "team/app", Namespace: "r.test",
			Capabilities: []string{"pull", "resolve", "push"}, Authorities: []string{filepath.Join(dir, "r.test", "ca.pem")},
			ClientCertificates: []string{cert}, DialTimeout: connectTimeout, Headers: []string{"X-Key"},
			Proxy: "http://file.test", ProxyFrom: hosts, Credentials: file,
		},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if c.Stats().Requests != 0 || strings.Contains(fmt.Sprint(got), "secret") {
		t.Errorf("%d requests; %v", c.Stats().Requests, got)
	}
}

func TestExplainRegistriesConf(t *testing.T) {
	setProxies(t, nil)
	c := testClient(t, conf(t, `
[[registry]]
prefix = "r.test"
location = "up.test/all"
insecure = true
[[registry.mirror]]
location = "m.test"
pull-from-mirror = "tag-only"
[[registry]]
prefix = "r.test/bad"
location = "r.test/bad"
blocked = true
`))
	got, err := c.Explain(context.Background(), oci.Reference{Registry: "r.test"})
	if err != nil || len(got.Endpoints) != 2 || !strings.HasSuffix(got.File, "registries.conf") || !reflect.DeepEqual(got.Parts, []string{"r.test/bad"}) {
		t.Fatalf("%+v, %v", got, err)
	}
	m, up := got.Endpoints[0], got.Endpoints[1]
	if !m.TagOnly || !m.Mirror || m.SkipVerify || up.Repository != "all" || !up.MayBePlain || !up.SkipVerify || up.Namespace != "" {
		t.Errorf("%+v\n%+v", m, up)
	}
	got, err = c.Explain(context.Background(), oci.Reference{Registry: "r.test", Repository: "bad/app"})
	if err != nil || !errors.Is(got.Blocked, content.ErrDenied) || len(got.Endpoints) != 1 || got.Parts != nil {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = c.route(oci.Reference{Registry: "r.test", Repository: "bad/app"})
	wantClass(t, err, content.ErrDenied)
}
