package registryclient_test

import (
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryclient"
	"dist.example/registryserver/registrytest"
)

// fault is one row of the table: what goes wrong, and what has to come of it.
type fault struct {
	name  string
	verbs string         // those that meet it
	set   func(w *world) // lets it go wrong
	class error          // what the verb fails with, nil when it succeeds
	in    float64        // most bytes of blobs that come, over those of the image; 0 is once
	back  float64        // in for a copy, whose uploads read again what is sent again; 0 is in
	out   float64        // the same of those that go
	most  int            // requests, 0 is 50
	least time.Duration  // that has to pass
	both  bool           // through the window of ranges, and in one stream
	keeps bool           // the target has a manifest though the verb failed
	check func(w *world) // what else has to hold
	with  setting        // how the world differs
	think time.Duration  // how long a registry may think, 0 is minutes
}

// The kinds of requests, see registryserver.Kind.
const (
	blob     = "blob"
	manifest = "manifest"
	tagList  = "tags"
	upload   = "upload"
	begin    = "uploads"
)

// ofBlob and ofManifest match what gets content from the source.
func ofBlob(w *world, times int) registrytest.Match {
	return registrytest.Match{Method: http.MethodGet, Kind: blob, Digest: w.big.Digest, Times: times}
}

func ofManifest(times int) registrytest.Match {
	return registrytest.Match{Method: http.MethodGet, Kind: manifest, Times: times}
}

// ofTags passes over the first request, which is refused for want of a token.
func ofTags(times int) registrytest.Match {
	return registrytest.Match{Kind: tagList, Skip: 1, Times: times}
}

// content and tags go wrong in the same way.
func source(times int, inBlob, inTags registrytest.Fault) func(*world) {
	return func(w *world) {
		w.src.Inject(ofBlob(w, times), inBlob)
		w.src.Inject(ofTags(times), inTags)
	}
}

// large lets f answer the upload of the largest layer, so many times.
func large(w *world, times int32, f registrytest.Fault) {
	var left atomic.Int32
	left.Store(times)
	w.dst.Inject(registrytest.Match{Method: http.MethodPut, Kind: upload},
		func(rw http.ResponseWriter, req *http.Request, next http.Handler) {
			if req.ContentLength == w.big.Size && left.Add(-1) >= 0 {
				f(rw, req, next)
				return
			}
			next.ServeHTTP(rw, req)
		})
}

// cutThen makes a download be resumed, where the registry has f for it.
func cutThen(skip int, f registrytest.Fault) func(*world) {
	return func(w *world) {
		m := ofBlob(w, 0)
		m.Skip = skip
		w.src.Inject(m, f)
		w.src.Inject(ofBlob(w, 1), registrytest.CutAfter(100_000))
	}
}

// everywhere lets each kind of request be answered so three times.
func everywhere(f registrytest.Fault) func(*world) {
	return func(w *world) {
		for _, reg := range []*registrytest.Registry{w.src, w.dst} {
			for _, m := range []registrytest.Match{
				{Kind: manifest}, {Kind: blob}, {Kind: begin}, {Kind: upload}, {Kind: tagList}, {Kind: registrytest.KindToken},
			} {
				for _, m.Method = range []string{http.MethodHead, http.MethodGet, http.MethodPost, http.MethodPut} {
					m.Times = 3
					reg.Inject(m, f)
				}
			}
		}
	}
}

func faults() []fault {
	var all []fault
	for _, group := range [][]fault{
		brokenFaults(), lengthFaults(), rangeFaults(), statusFaults(), slowFaults(), headerFaults(),
		addressFaults(), authFaults(), manifestFaults(), uploadFaults(), mountFaults(),
	} {
		all = append(all, group...)
	}
	return all
}

func brokenFaults() []fault {
	cut, cutTags := registrytest.CutAfter(100_000), registrytest.CutAfter(10)
	return []fault{
		{name: "reset once", verbs: "pull copy tags", both: true, set: source(1, cut, cutTags)},
		{name: "reset three times", verbs: "pull copy tags", both: true, set: source(3, cut, cutTags)},
		{
			name: "reset at every try", verbs: "pull copy tags", both: true, class: content.ErrUnavailable,
			set: func(w *world) {
				w.src.Inject(ofBlob(w, 0), registrytest.Reset())
				w.src.Inject(registrytest.Match{Kind: tagList}, registrytest.Reset())
			},
		},
		{
			name: "reset at every try, after a few bytes", verbs: "pull copy tags", both: true, class: content.ErrUnavailable,
			set: source(0, registrytest.CutAfter(1000), cutTags),
		},
		{name: "chunked body cut off", verbs: "pull copy tags", both: true, in: 2, set: func(w *world) {
			source(1, cut, cutTags)(w)
			source(1, registrytest.Chunked(), registrytest.Chunked())(w)
		}},
	}
}

func lengthFaults() []fault {
	short := layers[0][:100_000]
	longer := append(append([]byte{}, layers[0]...), "and more"...)
	return []fault{
		{
			name: "short body, its length too", verbs: "pull copy tags", both: true, in: 2,
			set: source(1, registrytest.Shorten(100_000), registrytest.Shorten(20)),
		},
		{
			name: "short body, its length too, always", verbs: "pull copy", both: true, class: content.ErrCorrupt, in: 2, out: 2,
			set: source(0, registrytest.Shorten(100_000), nil),
		},
		{name: "short list, always", verbs: "tags", class: content.ErrUnsupported, set: source(0, nil, registrytest.Shorten(20))},
		{
			name: "the registry's blob is shorter", verbs: "pull copy", both: true, class: content.ErrCorrupt, in: 2,
			set: source(0, registrytest.Replace(oci.MediaTypeOctets, short), nil),
		},
		{
			name: "the registry's blob is longer", verbs: "pull copy", both: true, class: content.ErrCorrupt, in: 2.5, out: 2,
			set: source(0, registrytest.Replace(oci.MediaTypeOctets, longer), nil),
		},
		{name: "one corrupt answer", verbs: "pull copy", both: true, in: 2, out: 2, set: source(1, registrytest.Corrupt(5), nil)},
		{
			name: "corrupt always", verbs: "pull copy", both: true, class: content.ErrCorrupt, in: 2, out: 2,
			set: source(0, registrytest.Corrupt(5), nil),
		},
		{
			name: "one upload corrupt on its way", verbs: "push copy", in: 2, out: 2,
			set: func(w *world) { large(w, 1, registrytest.CorruptUpload(5)) },
		},
		{
			name: "uploads corrupt on their way, always", verbs: "push copy", class: content.ErrCorrupt, in: 2.5, out: 2.5,
			set: func(w *world) { large(w, 100, registrytest.CorruptUpload(5)) },
		},
	}
}

func rangeFaults() []fault {
	return []fault{
		{name: "ranges ignored (200)", verbs: "pull copy", both: true, in: 2, set: cutThen(0, registrytest.IgnoreRange())},
		{name: "ranges ignored from the second on", verbs: "pull copy", both: true, in: 3, set: cutThen(1, registrytest.IgnoreRange())},
		{name: "ranges refused (416)", verbs: "pull copy", both: true, in: 2, set: cutThen(0, registrytest.RefuseRange())},
		{name: "ranges refused from the second on", verbs: "pull copy", both: true, in: 3, set: cutThen(1, registrytest.RefuseRange())},
		{name: "206 with another range", verbs: "pull copy", both: true, in: 3, set: cutThen(0, registrytest.ShiftRange(7))},
		{name: "206 with another range from the second on", verbs: "pull copy", both: true, in: 3, set: cutThen(1, registrytest.ShiftRange(7))},
	}
}

func statusFaults() []fault {
	var all []fault
	for _, code := range []int{429, 500, 502, 503, 504} {
		all = append(all, fault{
			name: fmt.Sprintf("%d, three times on each kind of request", code), verbs: "pull push copy tags", most: 100, back: 2,
			set: everywhere(registrytest.Answer(code)),
		})
	}
	date := registrytest.Fault(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		registrytest.Answer(429, "Retry-After", time.Now().Add(3*time.Second).UTC().Format(http.TimeFormat))(w, req, next)
	})
	once := func(f registrytest.Fault) func(*world) {
		return func(w *world) {
			w.src.Inject(ofBlob(w, 1), f)
			w.src.Inject(ofTags(1), f)
			w.dst.Inject(registrytest.Match{Method: http.MethodPost, Times: 1}, f)
		}
	}
	return append(all,
		fault{name: "Retry-After in seconds", verbs: "pull push tags", least: time.Second, set: once(registrytest.Answer(429, "Retry-After", "1"))},
		fault{name: "Retry-After as a date", verbs: "pull push tags", least: time.Second, set: once(date)},
		fault{name: "Retry-After of hours", verbs: "pull push copy tags", class: content.ErrUnavailable, set: once(registrytest.Answer(503, "Retry-After", "7200"))},
		fault{name: "503 always", verbs: "pull push copy tags", class: content.ErrUnavailable, most: 100, back: 6, set: func(w *world) {
			w.src.Inject(ofBlob(w, 0), registrytest.Answer(503))
			w.src.Inject(ofTags(0), registrytest.Answer(503))
			w.dst.Inject(registrytest.Match{Method: http.MethodPut, Kind: upload}, registrytest.Answer(503))
		}},
		fault{name: "404", verbs: "pull push copy tags", both: true, class: content.ErrNotFound, set: func(w *world) {
			w.src.Inject(ofBlob(w, 0), registrytest.Answer(404))
			w.src.Inject(ofTags(0), registrytest.Answer(404))
			w.dst.Inject(registrytest.Match{Method: http.MethodPost}, registrytest.Answer(404))
		}, check: func(w *world) {
			if n := w.src.Count(ofBlob(w, 0)); n > 1 {
				w.t.Errorf("what is not there was asked for %d times", n)
			}
		}},
	)
}

func slowFaults() []fault {
	soon := setting{change: func(o *registryclient.Options) { o.StallTimeout = 300 * time.Millisecond }}
	twice := setting{change: func(o *registryclient.Options) { o.StallTimeout, o.Retries = 300*time.Millisecond, 2 }}
	return []fault{
		{name: "body stalls", verbs: "pull copy tags", both: true, in: 1.5, with: soon, set: func(w *world) {
			source(1, registrytest.Stall(100_000, w.src.Healed()), registrytest.Stall(10, w.src.Healed()))(w)
		}},
		{name: "no answer comes", verbs: "pull push copy tags", both: true, in: 1.5, with: soon, set: func(w *world) {
			source(1, registrytest.Hold(w.src.Healed()), registrytest.Hold(w.src.Healed()))(w)
			w.dst.Inject(registrytest.Match{Method: http.MethodPost, Times: 1}, registrytest.Hold(w.dst.Healed()))
		}},
		{name: "no answer comes, ever", verbs: "pull push copy tags", class: content.ErrUnavailable, with: twice, set: func(w *world) {
			source(0, registrytest.Hold(w.src.Healed()), registrytest.Hold(w.src.Healed()))(w)
			w.dst.Inject(registrytest.Match{Method: http.MethodPost}, registrytest.Hold(w.dst.Healed()))
		}},
		{name: "upload is not taken", verbs: "push copy", in: 2, out: 1.5, with: soon, think: 500 * time.Millisecond, set: func(w *world) {
			large(w, 1, registrytest.StallUpload(100_000, w.dst.Healed()))
		}},
		{name: "slow, but moving", verbs: "pull copy", both: true, set: source(0, registrytest.Throttle(5_000_000), nil)},
	}
}

func headerFaults() []fault {
	wrong := registrytest.WrongDigest(oci.DigestBytes([]byte("wrong")))
	all := registrytest.Match{}
	return []fault{
		{name: "no Docker-Content-Digest", verbs: "pull push copy", both: true, set: func(w *world) {
			w.src.Inject(all, registrytest.DropDigest())
			w.dst.Inject(all, registrytest.DropDigest())
		}},
		{name: "no Content-Length", verbs: "pull push copy tags", both: true, in: 2, set: func(w *world) {
			w.src.Inject(all, registrytest.Chunked())
			w.dst.Inject(all, registrytest.Chunked())
		}},
		{name: "HEAD answered 405", verbs: "pull push copy", set: func(w *world) {
			w.src.Inject(registrytest.Match{Method: http.MethodHead}, registrytest.Answer(405))
			w.dst.Inject(registrytest.Match{Method: http.MethodHead}, registrytest.Answer(405))
		}},
		{
			name: "another digest declared for a manifest", verbs: "pull copy", class: content.ErrCorrupt,
			set: func(w *world) { w.src.Inject(ofManifest(0), wrong) },
		},
		{
			name: "another digest declared for a blob", verbs: "pull copy", both: true, class: content.ErrCorrupt, in: 2,
			set: source(0, wrong, nil),
		},
		{name: "another digest declared for what was pushed", verbs: "push copy", class: content.ErrCorrupt, keeps: true, set: func(w *world) {
			w.dst.Inject(registrytest.Match{Method: http.MethodPut, Kind: manifest}, wrong)
		}},
	}
}

func addressFaults() []fault {
	redirect := func(to func(w *world) string) func(*world) {
		return func(w *world) {
			w.src.Inject(registrytest.Match{Method: http.MethodGet, Kind: blob}, registrytest.Redirect(to(w)))
			w.src.Inject(ofManifest(0), registrytest.Redirect(to(w)))
			w.src.Inject(ofTags(0), registrytest.Redirect(to(w)))
		}
	}
	location := func(change func(w *world, l string) string) func(*world) {
		return func(w *world) {
			w.dst.Inject(registrytest.Match{}, registrytest.UploadLocation(func(l string) string { return change(w, l) }))
		}
	}
	link := func(change func(w *world, l string) string) func(*world) {
		return func(w *world) {
			w.src.Inject(registrytest.Match{Kind: tagList}, registrytest.NextLink(func(l string) string { return change(w, l) }))
			w.src.Inject(registrytest.Match{Kind: tagList}, registrytest.Pages(2))
		}
	}
	elsewhere := func(w *world, l string) string {
		w.other = w.registry(registrytest.Options{Handler: w.dst.Handler()})
		return w.elsewhere(l)
	}
	return []fault{
		{name: "redirect to another port", verbs: "pull copy tags", both: true, set: redirect(func(w *world) string { return w.other.URL })},
		{name: "redirect to another host", verbs: "pull copy tags", both: true, set: redirect(func(w *world) string { return w.elsewhere("") })},
		{
			name: "redirect to another scheme", verbs: "pull copy tags", both: true, with: setting{tls: true},
			set: redirect(func(w *world) string { return w.other.URL }),
		},
		{name: "redirect in a circle", verbs: "pull copy tags", class: content.ErrUnavailable, set: redirect(func(w *world) string { return w.src.URL })},
		{name: "upload Location is relative", verbs: "push copy", set: location(func(_ *world, l string) string { return path.Base(l) })},
		{name: "upload Location is absolute", verbs: "push copy", set: location(func(w *world, l string) string { return w.dst.URL + l })},
		{
			name: "upload Location has a query", verbs: "push copy", set: location(func(_ *world, l string) string { return l + "?state=a%20b" }),
			check: func(w *world) {
				for _, q := range w.dst.Matching(registrytest.Match{Kind: upload}) {
					if !strings.Contains(q.Query, "state=a") {
						w.t.Errorf("%s without the query: %s", q.Method, q.Query)
					}
				}
			},
		},
		{name: "upload Location is on another host", verbs: "push copy", set: func(w *world) {
			at := elsewhere(w, "")
			location(func(_ *world, l string) string { return at + l })(w)
		}},
		{name: "Link is relative", verbs: "tags", set: link(func(_ *world, l string) string { return l[strings.LastIndexByte(l, '/')+1:] })},
		{name: "Link is absolute", verbs: "tags", set: link(func(w *world, l string) string { return w.src.URL + l })},
		{name: "Link is on another host", verbs: "tags", set: link(func(w *world, l string) string { return w.elsewhere(l) })},
		{name: "Link is a path", verbs: "tags", set: link(func(_ *world, l string) string { return l })},
		{
			name: "Link points to itself", verbs: "tags", class: content.ErrUnavailable,
			set: link(func(_ *world, _ string) string { return "/v2/team/app/tags/list?n=2" }),
		},
	}
}

func authFaults() []fault {
	// The third request for content finds that all tokens of its registry are dead.
	expire := func(dies func(w *world, reg *registrytest.Registry)) func(*world) {
		return func(w *world) {
			for _, reg := range []*registrytest.Registry{w.src, w.dst} {
				reg.Inject(registrytest.Match{Kind: blob, Skip: 2, Times: 1}, registrytest.Then(func() { dies(w, reg) }))
				reg.Inject(registrytest.Match{Kind: tagList, Skip: 3, Times: 1}, registrytest.Then(func() { dies(w, reg) }))
			}
			w.src.Inject(registrytest.Match{Kind: tagList}, registrytest.Pages(1))
		}
	}
	loop := func(w *world) {
		for _, reg := range []*registrytest.Registry{w.src, w.dst} {
			reg.Inject(registrytest.Match{Path: "/v2/"}, registrytest.Answer(401, "WWW-Authenticate", `Bearer realm="`+reg.URL+`/token"`))
		}
	}
	return []fault{
		{name: "basic credentials", verbs: "pull push copy tags", with: setting{auth: &registrytest.Auth{}}, set: func(*world) {}},
		{name: "bearer tokens", verbs: "pull push copy tags", both: true, set: func(*world) {}},
		{
			name: "a token dies after 2 uses", verbs: "pull push copy tags", both: true, most: 150, out: 2,
			with: setting{auth: &registrytest.Auth{Bearer: true, Uses: 2}},
			set:  func(w *world) { w.src.Inject(registrytest.Match{Kind: tagList}, registrytest.Pages(1)) },
		},
		{
			name: "a token dies after 300 ms", verbs: "pull push copy tags", both: true,
			with: setting{auth: &registrytest.Auth{Bearer: true, Lifetime: 300 * time.Millisecond}},
			set:  expire(func(w *world, reg *registrytest.Registry) { w.pass(reg == w.src, 400*time.Millisecond) }),
		},
		{
			name: "all tokens die in the middle", verbs: "pull push copy tags", both: true,
			set: expire(func(_ *world, reg *registrytest.Registry) { reg.ExpireTokens() }),
		},
		{
			name: "a token is refused early in an upload", verbs: "push copy", out: 2,
			set: func(w *world) { large(w, 1, registrytest.Then(w.dst.ExpireTokens)) },
		},
		{name: "401 whatever is sent", verbs: "pull push copy tags", class: content.ErrDenied, set: loop, check: func(w *world) {
			if n := w.src.Count(registrytest.Match{Kind: registrytest.KindToken}) + w.dst.Count(registrytest.Match{Kind: registrytest.KindToken}); n != 1 {
				w.t.Errorf("%d tokens were asked for, want one", n)
			}
		}},
	}
}

func manifestFaults() []fault {
	replace := func(mediaType, body string) func(*world) {
		return func(w *world) {
			w.src.Inject(registrytest.Match{Kind: manifest, Skip: 1}, registrytest.Replace(mediaType, []byte(body)))
		}
	}
	onGet := func(times int, f registrytest.Fault) func(*world) {
		return func(w *world) { w.src.Inject(ofManifest(times), f) }
	}
	return []fault{
		{
			name: "manifest of schema 1", verbs: "pull copy", class: content.ErrUnsupported,
			set: replace("application/vnd.docker.distribution.manifest.v1+prettyjws", `{"schemaVersion":1,"fsLayers":[]}`),
		},
		{name: "manifest of an unknown type", verbs: "pull copy", class: content.ErrUnsupported, set: replace("application/vnd.example", `{"schemaVersion":2}`)},
		{name: "manifest is HTML", verbs: "pull copy", class: content.ErrUnsupported, set: replace("text/html", `<html>log in</html>`)},
		{name: "manifest is truncated once", verbs: "pull copy", set: onGet(1, registrytest.Shorten(100))},
		{name: "manifest is cut off once", verbs: "pull copy", set: onGet(1, registrytest.CutAfter(100))},
		{name: "manifest is truncated always", verbs: "pull copy", class: content.ErrCorrupt, set: onGet(0, registrytest.Shorten(100))},
		{name: "manifest of 64 MB", verbs: "pull copy", class: content.ErrUnsupported, set: func(w *world) {
			w.src.Inject(registrytest.Match{Kind: manifest, Skip: 1}, registrytest.Oversize(64<<20))
		}},
		{name: "manifest of 64 MB, by GET alone", verbs: "pull copy", class: content.ErrUnsupported, set: onGet(0, registrytest.Oversize(64<<20))},
		{name: "manifest of 64 MB, its length unsaid", verbs: "pull copy", class: content.ErrUnsupported, set: func(w *world) {
			w.src.Inject(ofManifest(0), registrytest.Oversize(64<<20))
			w.src.Inject(ofManifest(0), registrytest.Chunked())
		}},
		{
			name: "Content-Type contradicts mediaType", verbs: "pull copy", class: content.ErrCorrupt,
			set: onGet(0, registrytest.SetHeader("Content-Type", oci.MediaTypeIndex)),
		},
		{name: "manifest with other bytes", verbs: "pull copy", class: content.ErrCorrupt, set: onGet(0, registrytest.Corrupt(5))},
	}
}

func uploadFaults() []fault {
	cut := registrytest.CutUploadAfter(400_000)
	return []fault{
		{name: "upload reset once", verbs: "push copy", in: 2, set: func(w *world) { large(w, 1, cut) }},
		{name: "upload reset three times", verbs: "push copy", in: 3, set: func(w *world) {
			large(w, 1, cut)
			w.dst.Inject(registrytest.Match{Method: http.MethodPatch, Times: 2}, registrytest.CutUploadAfter(100_000))
		}},
		{name: "upload reset at every try", verbs: "push copy", class: content.ErrUnavailable, in: 9, set: func(w *world) { large(w, 100, registrytest.Reset()) }},
		{name: "upload session is lost (404)", verbs: "push copy", in: 2, out: 2, set: func(w *world) {
			large(w, 1, registrytest.Answer(404))
			w.dst.Inject(registrytest.Match{Method: http.MethodGet, Kind: upload, Times: 1}, registrytest.Answer(404))
		}},
		{name: "upload session is lost after a reset", verbs: "push copy", in: 2, out: 2, set: func(w *world) {
			large(w, 1, cut)
			w.dst.Inject(registrytest.Match{Method: http.MethodGet, Kind: upload, Times: 1}, registrytest.Answer(404))
		}},
		{name: "PATCH answered 416", verbs: "push copy", in: 3, out: 2, set: func(w *world) {
			large(w, 1, cut)
			w.dst.Inject(registrytest.Match{Method: http.MethodPatch, Times: 1}, registrytest.Answer(416))
		}},
		{name: "PUT answered 500, the body unread", verbs: "push copy", in: 2, out: 2, set: func(w *world) { large(w, 1, registrytest.Answer(500)) }},
		{name: "401 in the middle of an upload", verbs: "push copy", in: 3, out: 2, set: func(w *world) {
			large(w, 1, cut)
			w.dst.Inject(registrytest.Match{Method: http.MethodPatch, Times: 1}, registrytest.Then(w.dst.ExpireTokens))
		}},
		{name: "resets on both sides", verbs: "copy", in: 3, set: func(w *world) {
			source(3, registrytest.CutAfter(100_000), nil)(w)
			large(w, 1, cut)
		}},
	}
}

// mountFaults are about a target that holds the blobs in another repository.
func mountFaults() []fault {
	mounting := func(f registrytest.Fault) func(*world) {
		return func(w *world) {
			w.hold(w.dst.Store())
			for d := range w.blobs {
				w.must(w.dst.Store().Include(w.t.Context(), "docker.io/team/base", content.Pushed, d))
			}
			w.mounts = true
			w.dst.Inject(registrytest.Match{Method: http.MethodHead}, registrytest.Answer(404))
			w.dst.Inject(registrytest.Match{Method: http.MethodPost, Kind: begin}, func(rw http.ResponseWriter, req *http.Request, next http.Handler) {
				if f == nil || !req.URL.Query().Has("mount") {
					next.ServeHTTP(rw, req)
					return
				}
				f(rw, req, next)
			})
		}
	}
	moved := func(want bool) func(*world) {
		return func(w *world) {
			if n := w.dst.Count(registrytest.Match{Method: http.MethodPut, Kind: upload}); (n > 0) != want {
				w.t.Errorf("%d uploads", n)
			}
		}
	}
	return []fault{
		{name: "mount answered 201", verbs: "push copy", set: mounting(nil), check: moved(false)},
		{name: "mount answered 202", verbs: "push copy", set: mounting(registrytest.NoMount()), check: moved(true)},
		{name: "mount answered 403", verbs: "push copy", set: mounting(registrytest.Answer(403)), check: moved(true)},
		{name: "mount answered 404", verbs: "push copy", set: mounting(registrytest.Answer(404)), check: moved(true)},
	}
}
