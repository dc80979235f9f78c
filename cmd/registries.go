package cmd

import (
	"fmt"
	"io"
	"strings"

	"dist.example/registryclient"
)

type registriesJSON struct {
	Registries []routeJSON `json:"registries"`
}

type routeJSON struct {
	Registry   string         `json:"registry"`
	Repository string         `json:"repository,omitempty"`
	File       string         `json:"file,omitempty"`
	Blocked    bool           `json:"blocked"`
	Parts      []string       `json:"parts,omitempty"`
	Endpoints  []endpointJSON `json:"endpoints"`
}

type endpointJSON struct {
	URL          string   `json:"url"`
	Repository   string   `json:"repository,omitempty"`
	Namespace    string   `json:"ns,omitempty"`
	Mirror       bool     `json:"mirror"`
	Capabilities []string `json:"capabilities"`
	TagOnly      bool     `json:"tagOnly,omitempty"`
	TLS          string   `json:"tls"` // verified, unverified, none, unverified-or-none
	Authorities  []string `json:"authorities,omitempty"`
	Certificates []string `json:"clientCertificates,omitempty"`
	DialTimeout  float64  `json:"dialTimeoutSeconds"`
	Headers      []string `json:"headers,omitempty"`
	Proxy        string   `json:"proxy,omitempty"`
	ProxyFrom    string   `json:"proxyFrom,omitempty"`
	Credentials  string   `json:"credentials,omitempty"`
}

func newRouteJSON(r registryclient.Route) routeJSON {
	j := routeJSON{
		Registry: r.Registry, Repository: r.Repository, File: r.File, Blocked: r.Blocked != nil,
		Parts: r.Parts, Endpoints: []endpointJSON{},
	}
	for _, e := range r.Endpoints {
		j.Endpoints = append(j.Endpoints, endpointJSON{
			URL: e.URL, Repository: e.Repository, Namespace: e.Namespace, Mirror: e.Mirror,
			Capabilities: e.Capabilities, TagOnly: e.TagOnly, TLS: tlsWord(e),
			Authorities: e.Authorities, Certificates: e.ClientCertificates,
			DialTimeout: e.DialTimeout.Seconds(), Headers: e.Headers,
			Proxy: e.Proxy, ProxyFrom: e.ProxyFrom, Credentials: e.Credentials,
		})
	}
	return j
}

func tlsWord(e registryclient.Endpoint) string {
	switch {
	case e.PlainHTTP:
		return "none"
	case e.MayBePlain:
		return "unverified-or-none"
	case e.SkipVerify:
		return "unverified"
	}
	return "verified"
}

// registries prints who is asked for each of names.
func (s *session) registries(names []string) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	j := registriesJSON{Registries: []routeJSON{}}
	for _, name := range names {
		route, err := dist.Registry(s.ctx, name)
		if err != nil {
			return about(name, err)
		}
		j.Registries = append(j.Registries, newRouteJSON(route))
	}
	return s.object(j, j.print)
}

func (j registriesJSON) print(w io.Writer) error {
	for i, r := range j.Registries {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if err := printFields(w, r.fields()); err != nil {
			return err
		}
	}
	return nil
}

// fields are a registry's, and those of its endpoints in the order of asking.
func (r routeJSON) fields() [][2]string {
	name, file := r.Registry, r.File
	if r.Repository != "" {
		name += "/" + r.Repository
	}
	if file == "" {
		file = "no file says anything"
	}
	fields := [][2]string{{"registry", name}, {"decided by", file}}
	if r.Blocked {
		fields = append(fields, [2]string{"blocked", "yes, nobody is asked"})
	}
	if len(r.Parts) > 0 {
		fields = append(fields, [2]string{"not for", strings.Join(r.Parts, ", ")})
	}
	for i, e := range r.Endpoints {
		fields = append(fields, e.fields(i+1, r.Repository)...)
	}
	return fields
}

func (e endpointJSON) fields(n int, repository string) [][2]string {
	kind := "registry"
	if e.Mirror {
		kind = "mirror"
	}
	fields := [][2]string{{fmt.Sprintf("%d. %s", n, kind), e.URL}}
	add := func(name, value string) {
		if value != "" {
			fields = append(fields, [2]string{"   " + name, value})
		}
	}
	if e.Repository != repository {
		add("repository", e.Repository)
	}
	add("as ns", e.Namespace)
	add("asked to", e.can())
	add("TLS", map[string]string{
		"none": "none, plain HTTP", "verified": "verified", "unverified": "with any certificate",
		"unverified-or-none": "with any certificate; plain HTTP if it speaks that",
	}[e.TLS])
	add("authorities", strings.Join(e.Authorities, ", "))
	add("client", strings.Join(e.Certificates, ", "))
	add("headers", strings.Join(e.Headers, ", "))
	if e.Proxy != "" {
		add("proxy", e.Proxy+", from "+e.ProxyFrom)
	}
	credentials := e.Credentials
	if credentials == "" {
		credentials = "none"
	}
	add("credentials", credentials)
	add("connects in", fmt.Sprintf("%g s at most", e.DialTimeout))
	return fields
}

func (e endpointJSON) can() string {
	can := strings.Join(e.Capabilities, ", ")
	if e.TagOnly {
		can += ", by tag only"
	}
	return can
}
