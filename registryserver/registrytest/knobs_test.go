package registrytest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"dist.example/oci"
	"dist.example/registryserver/registrytest"
)

func TestRangeFaults(t *testing.T) {
	data := registrytest.Bytes(1, 1000)
	for _, c := range []struct {
		name   string
		fault  registrytest.Fault
		asked  string
		status int
		says   string // Content-Range
		body   []byte
	}{
		{"RefuseRange", registrytest.RefuseRange(), "bytes=10-19", 416, "", nil},
		{"RefuseRange, whole", registrytest.RefuseRange(), "", 200, "", data},
		{"ShiftRange", registrytest.ShiftRange(7), "bytes=10-19", 206, "bytes 17-19/1000", data[17:20]},
		{"ShiftRange, open", registrytest.ShiftRange(7), "bytes=990-", 206, "bytes 997-999/1000", data[997:]},
		{"Replace", registrytest.Replace("x/y", []byte("abcdef")), "bytes=1-2", 206, "bytes 1-2/6", []byte("bc")},
		{"Oversize", registrytest.Oversize(200_000), "", 200, "", make([]byte, 200_000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := registrytest.New(t, registrytest.Options{})
			reg.Inject(registrytest.Match{Kind: blobKind}, c.fault)
			var header []string
			if c.asked != "" {
				header = []string{"Range", c.asked}
			}
			resp, body, err := get(t, reg, "/v2/a/blobs/"+reg.PutBlob("x/y", data).Digest.String(), header...)
			if err != nil || resp.StatusCode != c.status || resp.Header.Get("Content-Range") != c.says || !bytes.Equal(body, c.body) {
				t.Errorf("%v, %v, %d bytes, %v", resp.StatusCode, resp.Header, len(body), err)
			}
		})
	}
}

func TestPageFaults(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	image := reg.PushImage("app:v1", []byte("layer"))
	reg.Tag("app:v2", image.Digest)
	reg.Inject(registrytest.Match{}, registrytest.NextLink(func(l string) string { return "http://elsewhere.test" + l }))
	reg.Inject(registrytest.Match{}, registrytest.Pages(1))
	resp, body, err := get(t, reg, "/v2/app/tags/list?n=100")
	want := `<http://elsewhere.test/v2/app/tags/list?last=v1&n=1>; rel="next"`
	if err != nil || resp.Header.Get("Link") != want || !bytes.Contains(body, []byte(`["v1"]`)) {
		t.Errorf("%s with Link %s, want %s; %v", body, resp.Header.Get("Link"), want, err)
	}
}

func TestUploadFaults(t *testing.T) {
	data := registrytest.Bytes(1, 300<<10) // less need not be resumed
	desc := oci.DigestBytes(data)
	release := make(chan struct{})
	close(release)
	for _, c := range []struct {
		name   string
		fault  registrytest.Fault
		status int    // 0 for no answer
		stands string // the session's Range afterwards, "" when it is over
	}{
		{"none", registrytest.Then(func() {}), 201, ""},
		{"CorruptUpload", registrytest.CorruptUpload(999), 400, ""},
		{"StallUpload", registrytest.StallUpload(700, release), 0, "0-699"},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := registrytest.New(t, registrytest.Options{})
			resp, err := reg.Client().Post(reg.URL+"/v2/a/blobs/uploads/", "", nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			at := resp.Header.Get("Location")
			reg.Inject(registrytest.Match{Method: http.MethodPut}, c.fault)
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, reg.URL+at+"?digest="+desc.String(), bytes.NewReader(data))
			status := 0
			if resp, err := reg.Client().Do(req); err == nil {
				_ = resp.Body.Close()
				status = resp.StatusCode
			}
			resp, _, err = get(t, reg, at)
			if status != c.status || err != nil || resp.Header.Get("Range") != c.stands {
				t.Errorf("status %d, and the session stands at %q; %v", status, resp.Header.Get("Range"), err)
			}
		})
	}
}

func TestNoMountBeginsAnUpload(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	d := reg.PutBlob("x/y", []byte("data")).Digest
	for i, want := range []int{201, 202} {
		resp, err := reg.Client().Post(fmt.Sprintf("%s/v2/a/blobs/uploads/?mount=%s&from=b", reg.URL, d), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("mount %d was answered %d, want %d", i, resp.StatusCode, want)
		}
		reg.Inject(registrytest.Match{}, registrytest.NoMount())
	}
}

func TestTokensGoByTheirClock(t *testing.T) {
	var since atomic.Int64
	reg := registrytest.New(t, registrytest.Options{Auth: &registrytest.Auth{
		Bearer: true, Lifetime: 300 * time.Millisecond, Now: func() time.Time { return time.Unix(1e9, since.Load()) },
	}})
	_, body, _ := get(t, reg, "/token?scope=repository:app:pull")
	_, rest, _ := bytes.Cut(body, []byte(`"token":"`))
	token, _, _ := bytes.Cut(rest, []byte(`"`))
	for _, want := range []int{http.StatusNotFound, http.StatusUnauthorized} {
		resp, _, err := get(t, reg, "/v2/app/manifests/v1", "Authorization", "Bearer "+string(token))
		if err != nil || resp.StatusCode != want {
			t.Errorf("answered %v, want %d", resp, want)
		}
		since.Add(int64(301 * time.Millisecond))
	}
}
