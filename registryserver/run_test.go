package registryserver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
)

// ask sends a GET on conn and reads the answer's head.
func ask(t *testing.T, conn net.Conn, path string) *http.Response {
	t.Helper()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Error(err)
		return &http.Response{}
	}
	return resp
}

func TestRequestsUnderWayAreFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := stuckStore{memory.New(), make(chan struct{}), make(chan struct{})}
		ln := newPipes()
		stop := served(t, ln, registryserver.New(store, registryserver.Options{}), registryserver.Run{Drain: time.Minute})
		busy := ln.dial(false)
		answered := make(chan int)
		go func() { answered <- ask(t, busy, "/v2/app/blobs/"+oci.DigestBytes(nil).String()).StatusCode }()
		<-store.asked
		ended := make(chan error)
		go func() { ended <- stop() }()
		synctest.Wait()
		time.Sleep(30 * time.Second)
		close(store.let)
		if status := <-answered; status != 404 {
			t.Errorf("the request under way got %d", status)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// No connection is taken any more, but a question from before gets the truth.
func TestAServerThatEndsIsNotHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &silent{Store: memory.New(), let: make(chan struct{})}
		ln := newPipes()
		stop := served(t, ln, registryserver.New(store, registryserver.Options{}), registryserver.Run{})
		conn := ln.dial(false)
		answered := make(chan int)
		go func() { answered <- ask(t, conn, "/healthz").StatusCode }()
		synctest.Wait()
		ended := make(chan error)
		go func() { ended <- stop() }()
		synctest.Wait()
		close(store.let)
		if status := <-answered; status != 503 {
			t.Errorf("a server that ends is healthy: %d", status)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestWhatOutlastsTheDrainIsCutOff(t *testing.T) {
	for _, drain := range []time.Duration{0, -1, 7 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			store := stuckStore{memory.New(), make(chan struct{}), make(chan struct{})}
			ln := newPipes()
			gone := make(chan struct{})
			h := registryserver.New(store, registryserver.Options{})
			stop := served(t, ln, h, registryserver.Run{Drain: drain})
			conn := ln.dial(false)
			go func() {
				defer close(gone)
				fmt.Fprintf(conn, "GET /v2/app/blobs/%s HTTP/1.1\r\nHost: x\r\n\r\n", oci.DigestBytes(nil))
				if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
					t.Errorf("the request was answered: %v", resp.Status)
				}
			}()
			<-store.asked
			begin := time.Now()
			if err := stop(); err != nil {
				t.Error(err)
			}
			want := map[time.Duration]time.Duration{0: registryserver.DefaultDrain, -1: 0}[drain]
			if drain > 0 {
				want = drain
			}
			if took := time.Since(begin); took < want || took > want+time.Second {
				t.Errorf("with a drain of %v it takes %v", drain, took)
			}
			<-gone
		})
	}
}

// silent answers no question for itself until it is let.
type silent struct {
	*memory.Store
	asked atomic.Int64
	err   error
	let   chan struct{}
}

func (s *silent) Info(context.Context, oci.Digest) (content.Info, error) {
	s.asked.Add(1)
	<-s.let
	return content.Info{}, s.err
}

func health(t *testing.T, h http.Handler, accept string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	req := httptest.NewRequestWithContext(t.Context(), "GET", "/healthz", http.NoBody)
	req.Header.Set("Accept", accept)
	h.ServeHTTP(w, req)
	return w.Code, w.Body.String()
}

func TestHealthIsTheStores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &silent{Store: memory.New(), err: content.ErrNotFound, let: make(chan struct{})}
		h := registryserver.New(store, registryserver.Options{})
		check := func(why string, want int, asked int64) {
			t.Helper()
			code, body := health(t, h, "")
			if code != want || (body == "ok\n") != (want == 200) || store.asked.Load() != asked {
				t.Errorf("%s: %d %q after %d questions", why, code, body, store.asked.Load())
			}
		}
		check("a store that does not answer", 503, 1)
		check("a store that still does not", 503, 1)
		close(store.let)
		synctest.Wait()
		check("a store that has answered", 200, 1)
		check("the same a moment later", 200, 1)
		time.Sleep(time.Second)
		check("the same a second later", 200, 2)
		time.Sleep(time.Second)
		store.err = errors.New("broken /srv/secret")
		check("a store that is broken", 503, 3)
		code, body := health(t, h, "application/json")
		if code != 503 || body != `{"status":"the store does not answer"}`+"\n" {
			t.Errorf("as JSON it is %d %s", code, body)
		}
		if strings.Contains(body, "secret") {
			t.Error("it tells why")
		}
	})
}
