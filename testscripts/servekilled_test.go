package testscripts

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"dist.example/oci"
)

// TestServeKilled kills a server while an image is pushed to it, at points of the
// protocols and anywhere. Started again over the same store, a tag stands for a
// whole image or is not there, the upload goes on where it was, and the image can be
// pushed and pulled.
func TestServeKilled(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs kill -9")
	}
	var points []string
	if os.Getenv("DIST_BINARY") == "" { // a program with hooks
		points = []string{
			"lease.stored:1", "ingest.begun:1", "ingest.begun:3", "ingest.written:2", "ingest.written:5", "pack.synced:1", "pack.synced:3",
			"loose.sealed:1", "loose.linked:1", "loose.durable:1", "commit.begin:2", "commit.objects:3", "commit.end:4", "ingest.done:1",
			"db.commit:4", "db.committed:6",
		}
		rnd := rand.New(rand.NewPCG(rand.Uint64(), 0))
		for range 4 {
			points = append(points, fmt.Sprintf("any:%d", 1+rnd.IntN(150)))
		}
	}
	for i := range 4 {
		points = append(points, fmt.Sprintf("after %dms", 5+20*i+rand.IntN(20)))
	}
	for _, point := range points {
		t.Run(strings.ReplaceAll(point, " ", "_"), func(t *testing.T) {
			t.Parallel()
			killServer(t, point)
		})
	}
}

func killServer(t *testing.T, point string) {
	b := newBox(t, nil)
	var env []string
	delay, err := time.ParseDuration(strings.TrimPrefix(point, "after "))
	timed := err == nil
	if !timed {
		env = []string{crashVar + "=" + point}
	}
	s := b.serve(env...)
	if timed {
		defer time.AfterFunc(delay, s.kill).Stop()
	}
	p := &interrupted{tags: map[string]bool{}}
	for i := 0; p.err == nil && i < 50; i++ {
		p.push(s, i)
	}
	if p.err == nil {
		t.Fatal("the server was not killed")
	}
	s.kill() // it may be about to end
	s = b.serve()
	for i := range p.begun {
		tag := fmt.Sprintf("v%d", i)
		resp, _, err := s.ask("HEAD", "/v2/app/manifests/"+tag, nil)
		switch {
		case err != nil:
			t.Fatal(err)
		case resp.StatusCode == http.StatusOK:
			b.must(s.pullImage("app", tag))
		case p.tags[tag]:
			t.Errorf("%s was accepted and answers %s", tag, resp.Status)
		case resp.StatusCode != http.StatusNotFound:
			t.Errorf("%s answers %s", tag, resp.Status)
		}
	}
	if p.blob != nil && p.blob.at != "" {
		p.blob.serving = s
		if err := p.blob.resume(); err != nil {
			t.Error(err)
		}
	}
	p.err = nil
	if p.push(s, p.begun-1); p.err != nil {
		t.Errorf("pushed again: %v", p.err)
	}
	b.must(s.pullImage("app", fmt.Sprintf("v%d", p.begun-1)))
	s.stop(t)
	b.sound("killed and done again,")
}

// interrupted is a client whose server goes away.
type interrupted struct {
	begun int             // images
	tags  map[string]bool // that were accepted
	blob  *upload         // that is under way
	err   error
}

// push pushes image i, its blobs in chunks, up to the first error.
func (c *interrupted) push(s *serving, i int) {
	im, tag := sharingImage(i), fmt.Sprintf("v%d", i)
	c.begun = max(c.begun, i+1)
	for _, p := range im.blobs {
		c.blob = &upload{serving: s, repo: "app", blob: p, chunk: len(p) / 3}
		if c.err = c.blob.run(); c.err != nil {
			return
		}
	}
	c.blob = nil
	if _, _, c.err = s.want(http.StatusCreated, "PUT", "/v2/app/manifests/"+tag, im.manifest, "Content-Type", oci.MediaTypeManifest); c.err == nil {
		c.tags[tag] = true
	}
}
