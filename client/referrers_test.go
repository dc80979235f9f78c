package client_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"dist.example/client"
	"dist.example/registryserver"
	"dist.example/registryserver/registrytest"
)

func TestReferrersAreAskedForOnceInAWhile(t *testing.T) {
	t.Parallel()
	reg, c := registry(t), newClient(t)
	image := reg.PushImage("app:v1", registrytest.Bytes(1, 3000))
	reg.PushArtifact(image, "application/vnd.example.sbom", []byte("list"))
	lists := registrytest.Match{Kind: registryserver.KindReferrers}
	for _, tc := range []struct {
		name      string
		o         client.PullOptions
		looked    bool
		referrers int
	}{
		{"the first time without", client.PullOptions{Referrers: client.ReferrersNone}, false, 0},
		{"never asked before", client.PullOptions{}, true, 1},
		{"asked just now", client.PullOptions{}, false, 0},
		{"asked long ago", client.PullOptions{Revalidate: time.Nanosecond}, true, 1},
		{"always", client.PullOptions{Revalidate: -1}, true, 1},
		{"refreshed", client.PullOptions{Referrers: client.ReferrersRefresh}, true, 1},
		{"again", client.PullOptions{Revalidate: time.Hour}, false, 0},
	} {
		reg.Forget()
		s, err := c.Pull(t.Context(), []string{reg.Ref("app:v1")}, tc.o)
		must(t, err)
		if s.Looked != tc.looked || s.Referrers != tc.referrers || (reg.Count(lists) > 0) != tc.looked {
			t.Errorf("%s: looked %v, %d referrers, %d lists asked for", tc.name, s.Looked, s.Referrers, reg.Count(lists))
		}
		if !tc.looked && tc.name != "the first time without" && len(reg.Requests()) != 1 {
			t.Errorf("%s: %d requests", tc.name, len(reg.Requests()))
		}
	}
}

// Blobs are the whole test registry's: only with this a repository lacks what
// another one has.
func separate(r *registrytest.Registry, path string) {
	r.Inject(registrytest.Match{Method: http.MethodHead, Kind: registryserver.KindBlob, Path: path}, registrytest.Answer(http.StatusNotFound))
}

func TestWhatWasPushedNextDoorIsMounted(t *testing.T) {
	t.Parallel()
	from, to := registry(t), registry(t)
	from.PushArtifact(from.PushImage("app:v1", registrytest.Bytes(1, 3000), registrytest.Bytes(2, 300_000)), "application/vnd.example.sbom", []byte("list"))
	c := pulled(t, from, "app:v1", to.Ref("a/x:v1"))
	s := push(t, c, to.Ref("a/x:v1"))
	if s.Referrers != 1 {
		t.Errorf("the account is %+v", s)
	}
	_, _, err := c.Tag(t.Context(), to.Ref("a/x:v1"), to.Ref("a/y:v1"))
	must(t, err)
	separate(to, "/a/y/")
	to.Inject(registrytest.Match{Method: http.MethodHead, Kind: registryserver.KindManifest, Path: "/a/y/"}, registrytest.Answer(http.StatusNotFound))
	to.Forget()
	push(t, c, to.Ref("a/y:v1"))
	mounted := 0
	for _, q := range to.Requests() {
		switch {
		case q.Method == http.MethodPost && strings.Contains(q.Query, "mount=") && strings.Contains(q.Query, "from=a%2Fx") && q.Status == http.StatusCreated:
			mounted++
		case q.Kind == registryserver.KindUpload, q.Method == http.MethodPost:
			t.Errorf("%s %s?%s moves bytes", q.Method, q.Path, q.Query)
		}
	}
	if mounted != 5 { // two layers and a config, and the two blobs of what is about it
		t.Errorf("%d mounts, want 5", mounted)
	}
}

func TestPushingAgainLooksOnlyForWhatIsAboutIt(t *testing.T) {
	t.Parallel()
	from, to := registry(t), registry(t)
	image := from.PushPlatforms("app:v1", "linux/amd64", "linux/arm64")
	c := pulled(t, from, "app:v1", to.Ref("app:v1"))
	push(t, c, to.Ref("app:v1"))
	from.PushArtifact(image, "application/vnd.example.sbom", []byte("list"))
	_, err := c.Pull(t.Context(), []string{from.Ref("app:v1")}, client.PullOptions{
		Platforms: client.Platforms{All: true}, Referrers: client.ReferrersRefresh,
	})
	must(t, err)
	if s := push(t, c, to.Ref("app:v1")); s.Referrers != 1 || s.Names[0].Changed || s.MovedBlobs == 0 {
		t.Errorf("the account is %+v", s)
	}
	to.Forget()
	s := push(t, c, to.Ref("app:v1"))
	if got := len(to.Requests()); got != 3 || s.MovedBlobs != 0 || s.Referrers != 1 {
		t.Errorf("%d requests for the tag, the image and what is about it; %+v", got, s)
	}
}
