package testscripts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"dist.example/oci"
	"dist.example/registryserver/registrytest"
)

const (
	serveClients = 64
	// serveFor is for how long they go on, unless DIST_TORTURE says otherwise.
	serveFor = 2 * time.Second
	// servePeak bounds the memory of the server, in MiB: 64 that it takes by itself,
	// catalog and all, and for each client the four chunks of 256 KiB that an upload is
	// hashed and written from.
	servePeak = 64 + serveClients
	// serveShelves bounds the files of its store that it keeps open for whoever comes
	// next: 64 packs, and one of the catalog for each of the 32 who may read at once
	// (SQLite keeps those that it cannot close while another has a lock).
	serveShelves = 64 + 32
	// serveFiles and serveGoroutines bound all others, and its goroutines, when nobody
	// asks for anything: it rests with 11 and about 16.
	serveFiles      = 16
	serveGoroutines = 32
	// serveMore is how many more of either the second round may leave: the runtime has
	// some of its own that come and go. What is lost once for each client is 64.
	serveMore = 8
)

// TestServeManyClients lets many clients push and pull images that share layers, at
// one server; some of them are processes of dist, the others speak HTTP. None meets
// an error or a wrong byte. The server does not grow: having done it all twice it has
// as many files open, and as many goroutines, as having done it once. Its store is
// sound.
func TestServeManyClients(t *testing.T) {
	b := newBox(t, nil)
	s := b.serve()
	most := resting{shelves: serveShelves, files: serveFiles, goroutines: serveGoroutines}
	for range 2 {
		b.manyClients(s, tortureTime(t, serveFor)/2)
		s.http.CloseIdleConnections()
		most = s.rest(t, most)
	}
	s.stop(t)
	b.sound("afterwards")
}

// manyClients is one round of that, in which each of them does something.
func (b *box) manyClients(s *serving, d time.Duration) {
	t := b.t
	t.Helper()
	end := time.Now().Add(d)
	var wg sync.WaitGroup
	var mu sync.Mutex
	images := 0
	for id := range serveClients {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(id)))
			for n := 0; !t.Failed() && (n == 0 || time.Now().Before(end)); n++ {
				im := sharingImage(rnd.IntN(12))
				tag := fmt.Sprintf("v%d", rnd.IntN(4))
				repo := fmt.Sprintf("app%d", rnd.IntN(3))
				var err error
				if id < 4 {
					err = b.process(s, fmt.Sprintf("store%d", id), repo, im)
				} else if err = s.pushImage(repo, tag, im, rnd); err == nil {
					err = s.pullImage(repo, tag)
				}
				if err != nil {
					t.Errorf("client %d: %v", id, err)
				}
				mu.Lock()
				images++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d images pushed and pulled", images)
}

// tortureTime is what the environment says, else the default.
func tortureTime(t *testing.T, d time.Duration) time.Duration {
	t.Helper()
	if v := os.Getenv(tortureVar); v != "" {
		var err error
		if d, err = time.ParseDuration(v); err != nil {
			t.Fatalf("%s: %v", tortureVar, err)
		}
	}
	return d
}

// process pushes and pulls with a process each. Its own store has one image.
func (b *box) process(s *serving, store, repo string, im pushedImage) error {
	dir := filepath.Join(b.dir, store)
	folder := filepath.Join(dir, "folder")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "file"), im.blobs[1], 0o644); err != nil {
		return err
	}
	tag := s.host + "/" + repo + ":" + store
	for _, args := range [][]string{
		{"pack", "--store", filepath.Join(dir, "s"), tag, folder},
		{"push", "-q", "--store", filepath.Join(dir, "s"), tag},
		{"pull", "-q", "--store", filepath.Join(dir, "t"), tag},
	} {
		if out := b.run(command{args: args}); out.exit != 0 {
			return fmt.Errorf("dist %s: exit %d: %s", strings.Join(args, " "), out.exit, out.stderr)
		}
	}
	return nil
}

// serving is a dist serve that runs.
type serving struct {
	host string
	http *http.Client
	kill func()
	wait func() error
	int  func() error
	pid  int
}

// serve starts one over the box's store. It is killed with the test.
func (b *box) serve(env ...string) *serving {
	b.t.Helper()
	p := b.prepared(call("serve", "--writable", "--addr", "127.0.0.1:0"), env...)
	stdout, err := p.StdoutPipe()
	b.must(err)
	var stderr bytes.Buffer
	p.Stderr = &stderr
	b.must(p.Start())
	ended := make(chan struct{})
	line := make([]byte, 0, 64)
	for one := make([]byte, 1); ; {
		if _, err := stdout.Read(one); err != nil || one[0] == '\n' {
			break
		}
		line = append(line, one[0])
	}
	var result error
	go func() {
		result = p.Wait()
		close(ended)
	}()
	s := &serving{
		host: strings.TrimPrefix(string(line), "http://"),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: serveClients}},
		pid:  p.Process.Pid,
		kill: func() { _ = p.Process.Kill(); <-ended },
		wait: func() error { <-ended; return result },
		int:  func() error { return p.Process.Signal(os.Interrupt) },
	}
	b.t.Cleanup(func() {
		s.http.CloseIdleConnections()
		s.kill()
	})
	return s
}

// stop ends the server as Ctrl-C does.
func (s *serving) stop(t *testing.T) {
	t.Helper()
	s.http.CloseIdleConnections()
	if runtime.GOOS == "windows" {
		s.kill()
		return
	}
	if err := errors.Join(s.int(), s.wait()); err != nil {
		t.Errorf("the server ends with: %v", err)
	}
}

// pushedImage is a manifest and its blobs, the config first.
type pushedImage struct {
	manifest []byte
	blobs    [][]byte
}

// sharingImage is one of some that share all layers but one.
func sharingImage(i int) pushedImage {
	im := pushedImage{blobs: [][]byte{
		fmt.Appendf(nil, `{"image":%d}`, i),
		registrytest.Bytes(uint64(1000+i), 20_000+i*90_000),
		registrytest.Bytes(1, 3000), registrytest.Bytes(2, 300_000), registrytest.Bytes(3, 1<<20),
	}}
	m := oci.Manifest{MediaType: oci.MediaTypeManifest}
	m.SchemaVersion = 2
	for k, p := range im.blobs {
		d := oci.Descriptor{MediaType: oci.MediaTypeLayer, Digest: oci.DigestBytes(p), Size: int64(len(p))}
		if k == 0 {
			d.MediaType = oci.MediaTypeImageConfig
			m.Config = d
		} else {
			m.Layers = append(m.Layers, d)
		}
	}
	im.manifest, _ = json.Marshal(m) // plain data: cannot fail
	return im
}

// ask sends a request and returns the answer with its body.
func (s *serving) ask(method, path string, body []byte, header ...string) (*http.Response, []byte, error) {
	req, err := http.NewRequest(method, "http://"+s.host+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	p, err := io.ReadAll(resp.Body)
	return resp, p, err
}

// want is ask for an answer with a status.
func (s *serving) want(status int, method, path string, body []byte, header ...string) (http.Header, []byte, error) {
	resp, p, err := s.ask(method, path, body, header...)
	if err == nil && resp.StatusCode != status {
		err = fmt.Errorf("%s %s: %s, want %d: %.200s", method, path, resp.Status, status, p)
	}
	if err != nil {
		return nil, nil, err
	}
	return resp.Header, p, nil
}

// pushImage pushes as clients do: what is not there, in one piece or in several.
func (s *serving) pushImage(repo, tag string, im pushedImage, rnd *rand.Rand) error {
	for _, p := range im.blobs {
		resp, _, err := s.ask("HEAD", "/v2/"+repo+"/blobs/"+digestOf(p), nil)
		if err != nil {
			return err
		}
		if resp.StatusCode == http.StatusOK && rnd.IntN(4) > 0 { // else in spite of that
			continue
		}
		u := upload{serving: s, repo: repo, blob: p, chunk: len(p) >> rnd.IntN(3)}
		if err := u.run(); err != nil {
			return err
		}
	}
	_, _, err := s.want(http.StatusCreated, "PUT", "/v2/"+repo+"/manifests/"+tag, im.manifest, "Content-Type", oci.MediaTypeManifest)
	return err
}

// pullImage pulls whatever the tag stands for now, and checks every byte.
func (s *serving) pullImage(repo, tag string) error {
	h, p, err := s.want(http.StatusOK, "GET", "/v2/"+repo+"/manifests/"+tag, nil)
	if err != nil {
		return err
	}
	if d := h.Get("Docker-Content-Digest"); d != digestOf(p) {
		return fmt.Errorf("the manifest %s:%s is %s and comes as %s", repo, tag, digestOf(p), d)
	}
	var m oci.Manifest
	if err := json.Unmarshal(p, &m); err != nil {
		return err
	}
	for _, d := range append(m.Layers, m.Config) {
		_, p, err := s.want(http.StatusOK, "GET", "/v2/"+repo+"/blobs/"+d.Digest.String(), nil)
		if err != nil {
			return err
		}
		if digestOf(p) != d.Digest.String() {
			return fmt.Errorf("blob %s comes as %s", d.Digest, digestOf(p))
		}
	}
	return nil
}

// upload is a push of one blob, in chunks if those are smaller.
type upload struct {
	*serving
	repo  string
	blob  []byte
	chunk int

	at    string // the session's path, "" before the first answer
	sent  int    // bytes that were accepted
	ended bool   // the last request was sent
}

func (u *upload) run() error {
	h, _, err := u.want(http.StatusAccepted, "POST", "/v2/"+u.repo+"/blobs/uploads/", nil)
	if err != nil {
		return err
	}
	u.at, u.sent, u.ended = h.Get("Location"), 0, false
	return u.send()
}

// send goes on from what was accepted.
func (u *upload) send() error {
	for u.chunk > 0 && u.sent+u.chunk < len(u.blob) {
		part := u.blob[u.sent : u.sent+u.chunk]
		_, _, err := u.want(http.StatusAccepted, "PATCH", u.at, part,
			"Content-Range", fmt.Sprintf("%d-%d", u.sent, u.sent+len(part)-1), "Content-Type", oci.MediaTypeOctets)
		if err != nil {
			return err
		}
		u.sent += len(part)
	}
	u.ended = true
	_, _, err := u.want(http.StatusCreated, "PUT", u.at+"?digest="+digestOf(u.blob), u.blob[u.sent:], "Content-Type", oci.MediaTypeOctets)
	return err
}

// resume asks where the session is and goes on there, at a server that was started
// again. What was accepted is there; only a session that had nothing may be gone,
// and one whose end was on its way.
func (u *upload) resume() error {
	resp, _, err := u.ask("GET", u.at, nil)
	if err != nil {
		return err
	}
	switch {
	case resp.StatusCode == http.StatusNotFound && (u.sent == 0 || u.ended):
		return u.run()
	case resp.StatusCode != http.StatusNoContent:
		return fmt.Errorf("the session with %d bytes answers %s", u.sent, resp.Status)
	}
	_, last, _ := strings.Cut(resp.Header.Get("Range"), "-")
	n, err := strconv.Atoi(last)
	if err != nil {
		return err
	}
	if n > 0 {
		n++
	}
	if n < u.sent {
		return fmt.Errorf("of %d bytes that were accepted the session has %d", u.sent, n)
	}
	u.sent = n
	return u.send()
}
