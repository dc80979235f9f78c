package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
	"dist.example/registryserver/registrytest"
)

func entries(words ...string) []client.ListEntry {
	all := make([]client.ListEntry, len(words))
	for i, w := range words {
		all[i].Word = w
	}
	return all
}

func syncTo(t *testing.T, c *client.Client, o client.SyncOptions, words ...string) client.SyncSummary {
	t.Helper()
	s, err := c.Sync(t.Context(), entries(words...), o)
	must(t, err)
	return s
}

// count is how many requests of a method and kind there were; every other request
// fails the test.
func only(t *testing.T, reg *registrytest.Registry, method string, kind registryserver.Kind, n int) {
	t.Helper()
	if got := reg.Count(registrytest.Match{Method: method, Kind: kind}); got != n || len(reg.Requests()) != n {
		t.Errorf("%d of %d requests were %s %s, want %d and no other", got, len(reg.Requests()), method, kind, n)
	}
}

func TestSyncAgainIsOneRequestForEachTag(t *testing.T) {
	t.Parallel()
	from, to := registry(t), registry(t)
	im := from.PushImage("app:t0", registrytest.Bytes(1, 5000))
	var words, locked []string
	for i := range 200 {
		tag := fmt.Sprintf("app:t%d", i)
		from.Tag(tag, im.Digest)
		words = append(words, from.Ref(tag))
		locked = append(locked, from.Ref(tag)+"@"+im.Digest.String())
	}
	c := newClient(t, func(o *client.Options) { o.Store = "/nowhere/at/all" })
	o := client.SyncOptions{To: to.Host + "/mirror"}
	s := syncTo(t, c, o, words...)
	if len(s.Names) != 200 || s.MovedBlobs != 3 || !s.Names[7].Changed {
		t.Errorf("the account is %d names, %+v", len(s.Names), s.Stats)
	}
	if got := from.BlobBytes(""); got > 6000 {
		t.Errorf("%d bytes of blobs were fetched: each blob is wanted once", got)
	}
	from.Forget()
	to.Forget()
	s = syncTo(t, c, o, words...)
	only(t, from, http.MethodHead, registryserver.KindManifest, 200)
	only(t, to, http.MethodHead, registryserver.KindManifest, 200)
	if s.MovedBytes != 0 || s.Names[7].Changed || s.Requests != 400 {
		t.Errorf("the account of nothing is %+v", s.Stats)
	}
	from.Forget()
	to.Forget()
	syncTo(t, c, o, locked...)
	only(t, from, http.MethodHead, registryserver.KindManifest, 0)
	only(t, to, http.MethodHead, registryserver.KindManifest, 200)
}

// The test registry shows all content in every repository: below path it shows none.
func hide(reg *registrytest.Registry, path string) {
	for _, kind := range []registryserver.Kind{registryserver.KindBlob, registryserver.KindManifest} {
		reg.Inject(registrytest.Match{Method: http.MethodHead, Kind: kind, Path: path}, registrytest.Answer(http.StatusNotFound))
	}
}

func TestCopyMountsWithinARegistry(t *testing.T) {
	t.Parallel()
	reg := registry(t)
	im := reg.PushImage("app:v1", registrytest.Bytes(1, 5000), registrytest.Bytes(2, 7000))
	hide(reg, "/v2/team/")
	c := newClient(t)
	plan, err := c.PlanCopy(t.Context(), reg.Ref("app:v1"), reg.Ref("team/app:v1"), client.CopyOptions{})
	must(t, err)
	reg.Forget()
	s, err := c.Copy(t.Context(), reg.Ref("app:v1"), reg.Ref("team/app:v1"), client.CopyOptions{})
	must(t, err)
	mounts := reg.Matching(registrytest.Match{Method: http.MethodPost, Kind: registryserver.KindUploads})
	if len(mounts) != 3 || !strings.Contains(mounts[0].Query, "from=app") {
		t.Errorf("mounts: %+v", mounts)
	}
	if reg.BlobBytes("") != 0 || s.MovedBytes != im.Size || s.ReusedBytes < 12000 {
		t.Errorf("%d bytes of blobs were fetched, %+v", reg.BlobBytes(""), s.Stats)
	}
	if plan.MoveBytes != s.MovedBytes || plan.HeldBytes != s.ReusedBytes || plan.Requests != s.Requests {
		t.Errorf("the plan was %+v, the account is %+v", plan, s)
	}
}

func TestSyncMountsBetweenItsTargets(t *testing.T) {
	t.Parallel()
	from, to := registry(t), registry(t)
	shared := registrytest.Bytes(1, 50_000)
	var words []string
	for i := range 12 {
		path := fmt.Sprintf("team%d/app:v1", i)
		from.PushImage(path, shared, registrytest.Bytes(uint64(10+i), 100))
		words = append(words, from.Ref(path))
	}
	hide(to, "/v2/")
	c := newClient(t)
	o := client.SyncOptions{To: to.Host}
	plan, err := c.PlanSync(t.Context(), entries(words...), o)
	must(t, err)
	from.Forget()
	to.Forget()
	s := syncTo(t, c, o, words...)
	if got := from.BlobBytes(""); got > 60_000 {
		t.Errorf("%d bytes of blobs were fetched", got)
	}
	mounted := 0
	for _, q := range to.Matching(registrytest.Match{Method: http.MethodPost, Kind: registryserver.KindUploads}) {
		if strings.Contains(q.Query, "mount=") && q.Status == http.StatusCreated {
			mounted++
		}
	}
	if mounted < 11 {
		t.Errorf("%d blobs were mounted", mounted)
	}
	if plan.MoveBytes != s.MovedBytes || plan.HeldBytes != s.ReusedBytes || plan.Requests != s.Requests {
		t.Errorf("the plan was %d moved, %d held, %d requests; the account is %d, %d, %d",
			plan.MoveBytes, plan.HeldBytes, plan.Requests, s.MovedBytes, s.ReusedBytes, s.Requests)
	}
}

// Images wait for each other's blobs; one that fails lets the others go on.
func TestSyncGoesOnWithoutWhatFails(t *testing.T) {
	t.Parallel()
	from, to := registry(t), registry(t)
	shared := registrytest.Bytes(1, 50_000)
	var words []string
	for i := range 8 {
		path := fmt.Sprintf("team%d/app:v1", i)
		from.PushImage(path, shared, registrytest.Bytes(uint64(10+i), 100))
		words = append(words, from.Ref(path))
	}
	from.Inject(registrytest.Match{Method: http.MethodGet, Kind: registryserver.KindBlob, Path: "/team3/"}, registrytest.Answer(http.StatusNotFound))
	c := newClient(t)
	_, err := c.Sync(t.Context(), entries(words...), client.SyncOptions{To: to.Host})
	want(t, content.ErrNotFound, err)
	if n := to.Count(registrytest.Match{Method: http.MethodPut, Kind: registryserver.KindManifest, Path: "/manifests/v1"}); n != 0 {
		t.Errorf("%d tags were moved, though not all had arrived", n)
	}
	s, err := c.Sync(t.Context(), entries(words...), client.SyncOptions{To: to.Host, KeepGoing: true})
	want(t, content.ErrPartial, err)
	if len(s.Names) != 7 || len(s.Failures) != 1 || !errors.Is(s.Failures[0].Err, content.ErrNotFound) || !strings.Contains(s.Failures[0].Name, "team3") {
		t.Errorf("%d names, failures %v", len(s.Names), s.Failures)
	}
}

func TestSyncTagsComeAfterAllContent(t *testing.T) {
	t.Parallel()
	from, to := registry(t), registry(t)
	var words []string
	for i := range 5 {
		path := fmt.Sprintf("app%d:v1", i)
		from.PushImage(path, registrytest.Bytes(uint64(i), 3000))
		words = append(words, from.Ref(path))
	}
	syncTo(t, newClient(t), client.SyncOptions{To: to.Host}, words...)
	var order []bool // whether a request gave a tag
	for _, q := range to.Requests() {
		if q.Method == http.MethodPut || q.Method == http.MethodPost {
			order = append(order, q.Kind == registryserver.KindManifest && q.Digest == "")
		}
	}
	if i := slices.Index(order, true); len(order)-i != 5 || slices.Contains(order[i:], false) {
		t.Errorf("tags among what was written: %v", order)
	}
}

func TestSyncTagsImagesBeforeIndexes(t *testing.T) {
	t.Parallel()
	from, to := registry(t), registry(t)
	from.PushPlatforms("app:all", "linux/amd64", "linux/arm64")
	c := newClient(t, func(o *client.Options) { o.Jobs = 1 })
	_, err := c.Copy(t.Context(), from.Ref("app:all"), from.Ref("app:arm"), client.CopyOptions{Platform: &oci.Platform{OS: "linux", Architecture: "arm64"}})
	must(t, err)
	syncTo(t, c, client.SyncOptions{To: to.Host}, from.Ref("app:all"), from.Ref("app:arm"))
	var tags []string
	for _, q := range to.Matching(registrytest.Match{Method: http.MethodPut, Kind: registryserver.KindManifest}) {
		if q.Digest == "" {
			tags = append(tags, q.Path[strings.LastIndexByte(q.Path, '/')+1:])
		}
	}
	if !slices.Equal(tags, []string{"arm", "all"}) {
		t.Errorf("tags came in the order %v", tags)
	}
}
