package pages

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"time"

	"dist.example/oci"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets/style.css
var styleSheet []byte

//go:embed assets/icon.svg
var icon []byte

// templates are parsed by the first request: a process that serves no page should
// not pay for them.
var templates = sync.OnceValue(func() *template.Template {
	t := template.New("").Funcs(template.FuncMap{
		"size": oci.HumanSize, "short": oci.ShortDigest, "clip": clip,
		"stamp": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") },
		"iso":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"count": count,
	})
	return template.Must(t.ParseFS(templateFiles, "templates/*.html"))
})

// asset is a file whose path changes with its content.
type asset struct {
	path, mediaType string
	data            []byte
}

var assets = sync.OnceValue(func() []asset {
	named := func(name, ext, mediaType string, data []byte) asset {
		return asset{"/assets/" + name + "." + oci.DigestBytes(data).Encoded()[:16] + ext, mediaType, data}
	}
	return []asset{
		named("style", ".css", "text/css; charset=utf-8", styleSheet),
		named("icon", ".svg", "image/svg+xml", icon),
	}
})

// serveAsset answers with the asset that r asks for, if it does.
func serveAsset(w http.ResponseWriter, r *http.Request) bool {
	for _, a := range assets() {
		if r.URL.Path == a.path {
			w.Header().Set("Content-Type", a.mediaType)
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.data))
			return true
		}
	}
	return false
}

// frame is what stands around every page.
type frame struct {
	Title       string
	Style, Icon string
	Host        string
	Query       string
	Visitor     string
	SignIn      bool
	Data        any
}

// render writes a page. Nothing invisible is left in it: see reveal.
func (s *site) render(r *http.Request, v view) ([]byte, error) {
	f := frame{
		Title: v.title, Style: assets()[0].path, Icon: assets()[1].path, Host: s.reach(r).host,
		Query: v.query, Visitor: visitorOf(r).Name, Data: v.data,
	}
	f.SignIn = s.mayStillSignIn(r)
	var b bytes.Buffer
	if err := templates().ExecuteTemplate(&b, v.template, f); err != nil {
		return nil, fmt.Errorf("write page %s: %w", v.template, err)
	}
	return reveal(b.Bytes()), nil
}

// mayStillSignIn says whether who sends r may be more than he has shown.
func (s *site) mayStillSignIn(r *http.Request) bool {
	return s.o.Realm != "" && visitorOf(r).Name == ""
}

// count is "1 thing" or "n things".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	rest, y := strings.CutSuffix(thing, "y")
	switch {
	case y:
		thing = rest + "ies"
	case strings.HasSuffix(thing, "x"):
		thing += "es"
	default:
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
