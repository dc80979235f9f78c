package pages

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"dist.example/oci"
)

// reach is how clients get to the server.
type reach struct {
	host string // host or host:port, as references have it
	tls  bool
}

// hostPattern keeps what a request calls this server to what a shell takes as a word.
var hostPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)
})

func (s *site) reach(r *http.Request) reach {
	at := reach{r.Host, r.TLS != nil}
	if u, err := url.Parse(s.o.URL); s.o.URL != "" && err == nil {
		at = reach{u.Host, u.Scheme == "https"}
	}
	if !hostPattern().MatchString(at.host) {
		at.host = "localhost"
	}
	// In a reference a word is a host only by its port or a dot, and without a port
	// clients try HTTPS.
	plain := !strings.ContainsAny(at.host, ".:") && at.host != "localhost"
	if colon := strings.LastIndexByte(at.host, ':'); colon <= strings.LastIndexByte(at.host, ']') && (plain || !at.tls) {
		at.host += map[bool]string{false: ":80", true: ":443"}[at.tls]
	}
	return at
}

// flags are those that tools want where there is no TLS, each with a blank before
// it.
type flags struct {
	Plain                                           bool
	Dist, Podman, Crane, SkopeoFrom, SkopeoTo, Oras string
}

func (a reach) flags() flags {
	if a.tls {
		return flags{}
	}
	return flags{true, " --plain-http", " --tls-verify=false", " --insecure", " --src-tls-verify=false", " --dest-tls-verify=false", " --plain-http"}
}

// command is a line for a shell, and the tool that it is for.
type command struct{ Tool, Line string }

// pulls are the commands that get what is at name, which is of kind k.
func (a reach) pulls(k kind, path, suffix string) []command {
	name, f := a.host+"/"+path+suffix, a.flags()
	dist := command{"dist", "dist pull" + f.Dist + " " + name}
	crane := command{"crane", "crane manifest" + f.Crane + " " + name}
	switch k {
	case kindImage, kindIndex:
		return []command{
			{"docker", "docker pull " + name},
			{"podman", "podman pull" + f.Podman + " " + name},
			{"crane", "crane pull" + f.Crane + " " + name + " image.tar"},
			{"skopeo", "skopeo copy" + f.SkopeoFrom + " docker://" + name + " oci-archive:image.tar"},
			dist,
		}
	case kindChart:
		if tag, ok := strings.CutPrefix(suffix, ":"); ok {
			helm := command{"helm", "helm pull" + f.Oras + " oci://" + a.host + "/" + path + " --version " + strings.ReplaceAll(tag, "_", "+")}
			return []command{helm, {"oras", "oras pull" + f.Oras + " " + name}, dist}
		}
	}
	return []command{{"oras", "oras pull" + f.Oras + " " + name}, crane, dist}
}

// plain says whether docker is among the commands for k and takes no HTTP from
// everywhere.
func (a reach) plain(k kind) bool { return !a.tls && (k == kindImage || k == kindIndex) }

// suffixOf is what names desc behind a path, where it has no tag.
func suffixOf(d oci.Digest) string { return "@" + d.String() }
