package testscripts

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"dist.example/registryserver"
	"dist.example/registryserver/registrytest"
)

// gate lets a number of bytes through, counted over all requests that come by.
type gate struct {
	// The request that finds nothing left is cut when breaks is set, and all others
	// pass; else it waits for healed.
	breaks  bool
	healed  <-chan struct{}
	reached chan struct{} // closed when somebody finds nothing left
	once    sync.Once

	mu   sync.Mutex
	left int64
}

// wait is for those who got nothing from take; without an error everything may
// pass.
func (g *gate) wait(req *http.Request) error {
	first := false
	g.once.Do(func() { first = true; close(g.reached) })
	if g.breaks {
		if first {
			return errors.New("cut by the test")
		}
		return nil
	}
	select {
	case <-g.healed:
		return nil
	case <-req.Context().Done():
		return req.Context().Err()
	}
}

// take says how many of n bytes may pass.
func (g *gate) take(n int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n = int(min(int64(n), g.left))
	g.left -= int64(n)
	return n
}

// sending is a fault for what the registry sends.
func (g *gate) sending(w http.ResponseWriter, req *http.Request, next http.Handler) {
	next.ServeHTTP(&gatedWriter{w, req, g}, req)
}

type gatedWriter struct {
	http.ResponseWriter
	req *http.Request
	g   *gate
}

func (w *gatedWriter) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		n := w.g.take(len(p) - written)
		if n == 0 {
			_ = http.NewResponseController(w.ResponseWriter).Flush() // so that all that may pass arrives
			if err := w.g.wait(w.req); err != nil {
				return written, err
			}
			n = len(p) - written
		}
		n, err := w.ResponseWriter.Write(p[written : written+n])
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// Unwrap is for http.ResponseController.
func (w *gatedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// receiving is a fault for what the registry gets.
func (g *gate) receiving(w http.ResponseWriter, req *http.Request, next http.Handler) {
	if req.ContentLength != 0 {
		req.Body = &gatedBody{req.Body, req, g}
	}
	next.ServeHTTP(w, req)
}

type gatedBody struct {
	io.ReadCloser
	req *http.Request
	g   *gate
}

func (b *gatedBody) Read(p []byte) (int, error) {
	may := b.g.take(len(p))
	if may == 0 {
		if err := b.g.wait(b.req); err != nil {
			return 0, err
		}
		return b.ReadCloser.Read(p)
	}
	n, err := b.ReadCloser.Read(p[:may])
	b.g.take(n - may) // what did not come is given back
	return n, err
}

// gateKey finds the last gate of a script among its values: a **gate.
type gateKey struct{}

// stopAt lets BYTES of blobs pass, in one direction, and nothing more until heal.
func stopAt(ts *testscript.TestScript, neg bool, args []string) {
	addGate(ts, neg, false, args)
}

// breakAt cuts the connection of that request which would be the first to pass
// more than BYTES of blobs in one direction.
func breakAt(ts *testscript.TestScript, neg bool, args []string) {
	addGate(ts, neg, true, args)
}

func addGate(ts *testscript.TestScript, neg, breaks bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: stopat|breakat sent|received BYTES")
	}
	r := registryOf(ts)
	g := &gate{left: int64(number(ts, args[1])), breaks: breaks, healed: r.Healed(), reached: make(chan struct{})}
	switch args[0] {
	case "sent":
		r.Inject(registrytest.Match{Method: http.MethodGet, Kind: registryserver.KindBlob}, g.sending)
	case "received":
		r.Inject(registrytest.Match{Kind: registryserver.KindUpload}, g.receiving)
	default:
		ts.Fatalf("%s is neither sent nor received", args[0])
	}
	*ts.Value(gateKey{}).(**gate) = g
}

// stopped waits until the last gate has been reached.
func stopped(ts *testscript.TestScript, neg bool, args []string) {
	g := *ts.Value(gateKey{}).(**gate)
	if neg || len(args) != 0 || g == nil {
		ts.Fatalf("usage: stopped, after stopat or breakat")
	}
	select {
	case <-g.reached:
	case <-time.After(2 * time.Minute):
		ts.Fatalf("nothing has come so far")
	}
}

// peaks checks that no program in the background has had more than MIB mebibytes of
// memory so far. Where the system does not tell, it checks nothing and says so.
func peaks(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: peaks MIB")
	}
	running := ts.BackgroundCmds()
	if len(running) == 0 {
		ts.Fatalf("nothing runs in the background")
	}
	for _, cmd := range running {
		kib := peakIn(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "status"))
		ts.Logf("%s: %d KiB at most (0: not told)", cmd.Args[0], kib)
		if kib > int64(number(ts, args[0]))<<10 {
			ts.Fatalf("%s has had %d KiB of memory", cmd.Args[0], kib)
		}
	}
}

// traffic checks how many bytes of blobs the registry has sent or received since
// its record was emptied last, and empties it.
func traffic(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: traffic sent|received MIN MAX")
	}
	r := registryOf(ts)
	requests := r.Requests()
	n := r.BlobBytes("")
	if args[0] == "received" {
		n = 0
		for _, q := range r.Matching(registrytest.Match{Kind: registryserver.KindUpload}) {
			n += q.Received
		}
	}
	r.Forget()
	fmt.Fprintf(ts.Stdout(), "%s %d\n", args[0], n)
	if n < int64(number(ts, args[1])) || n > int64(number(ts, args[2])) {
		for _, q := range requests {
			fmt.Fprintf(ts.Stdout(), "%s %s %s%s %d sent %d received %d\n", q.Method, q.Path, q.Range, q.ContentRange, q.Status, q.Sent, q.Received)
		}
		ts.Fatalf("%s %d bytes of blobs, want %s to %s", args[0], n, args[1], args[2])
	}
}
