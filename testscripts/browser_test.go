package testscripts

import (
	"bufio"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestBrowser runs the scripts of the folder e2e/browser, which look at pages in
// Debian's chromium.
func TestBrowser(t *testing.T) {
	if !withPeers() {
		t.Skip("meets other programs; use make e2e")
	}
	program, err := exec.LookPath(cmp.Or(os.Getenv("DIST_BROWSER"), "chromium"))
	if err != nil {
		t.Skip("no pages are looked at: chromium is missing (apt-get install chromium, on Debian)")
	}
	b, err := startBrowser(t, program)
	if err != nil {
		t.Fatal(err)
	}
	p := params("e2e/browser", startRegistry)
	p.Cmds["browse"] = b.browse
	// The browser has one pair of pipes: one script after the other.
	testscript.RunT(serial{t}, p)
}

// serial runs subtests one after the other.
type serial struct{ *testing.T }

// Run implements testscript.T.
func (s serial) Run(name string, f func(testscript.T)) {
	s.T.Run(name, func(t *testing.T) { f(serial{t}) })
}

// Parallel implements testscript.T.
func (serial) Parallel() {}

// Verbose implements testscript.T.
func (serial) Verbose() bool { return testing.Verbose() }

// browser is a chromium that is spoken to by the DevTools protocol, over pipes: its
// messages are JSON, each with a zero byte behind it.
type browser struct {
	to   io.Writer
	from chan message
	id   int
}

// message is an answer (ID) or an event (Method) of the browser.
type message struct {
	ID     int
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *struct{ Message string }
}

// browserWait is how long the browser may take for one thing, on a machine that has
// much else to do.
const browserWait = 2 * time.Minute

func startBrowser(t *testing.T, program string) (*browser, error) {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := exec.Command(program, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
		"--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
		"--disable-sync", "--no-first-run", "--no-proxy-server", "--user-data-dir="+t.TempDir())
	c.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4, as the protocol has it
	if err := c.Start(); err != nil {
		return nil, err
	}
	theirIn.Close()
	theirOut.Close()
	b := &browser{to: in, from: make(chan message)}
	done := make(chan struct{})
	go b.listen(out, done)
	t.Cleanup(func() {
		// Closing its pipe ends the browser, and with it its processes: they write to the
		// folder that is removed next.
		in.Close()
		stop := time.AfterFunc(browserWait, func() { _ = c.Process.Kill() })
		_ = c.Wait()
		stop.Stop()
		close(done)
		out.Close()
	})
	return b, nil
}

// listen reads messages until the pipe ends.
func (b *browser) listen(out io.Reader, done <-chan struct{}) {
	defer close(b.from)
	r := bufio.NewReader(out)
	for {
		data, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(data[:len(data)-1], &m) != nil {
			return
		}
		select {
		case b.from <- m:
		case <-done:
			return
		}
	}
}

// next waits for a message.
func (b *browser) next() (message, error) {
	select {
	case m, ok := <-b.from:
		if !ok {
			return m, fmt.Errorf("the browser has ended")
		}
		return m, nil
	case <-time.After(browserWait):
		return message{}, fmt.Errorf("the browser says nothing")
	}
}

// visit is what a browser says while it shows a page.
type visit struct {
	b        *browser
	session  string
	loaded   bool
	requests []string // addresses
	trouble  []string // what it logged
}

// ask sends a command and waits for its answer, which goes to result.
func (v *visit) ask(method string, params, result any) error {
	v.b.id++
	id := v.b.id
	data, err := json.Marshal(map[string]any{"id": id, "method": method, "params": params, "sessionId": v.session})
	if err != nil {
		return err
	}
	if v.session == "" {
		data, err = json.Marshal(map[string]any{"id": id, "method": method, "params": params})
	}
	if err != nil {
		return err
	}
	if _, err := v.b.to.Write(append(data, 0)); err != nil {
		return err
	}
	for {
		m, err := v.b.next()
		if err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		if m.Method != "" {
			v.event(m)
			continue
		}
		if m.ID != id {
			continue
		}
		if m.Error != nil {
			return fmt.Errorf("%s: %s", method, m.Error.Message)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(m.Result, result)
	}
}

// event notes what the page does.
func (v *visit) event(m message) {
	var p struct {
		Request struct{ URL string }
		Entry   struct{ Text string }
	}
	_ = json.Unmarshal(m.Params, &p) // others have other fields
	switch m.Method {
	case "Page.loadEventFired":
		v.loaded = true
	case "Network.requestWillBeSent":
		v.requests = append(v.requests, p.Request.URL)
	case "Log.entryAdded":
		v.trouble = append(v.trouble, p.Entry.Text)
	}
}

// open shows the page at address in a window of that width.
func (b *browser) open(address string, width int, scheme string) (*visit, error) {
	v := &visit{b: b}
	var target struct{ TargetID string }
	if err := v.ask("Target.createTarget", map[string]any{"url": "about:blank"}, &target); err != nil {
		return nil, err
	}
	var attached struct{ SessionID string }
	if err := v.ask("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached); err != nil {
		return nil, err
	}
	v.session = attached.SessionID
	type args map[string]any
	for _, c := range []struct {
		method string
		params args
	}{
		{"Page.enable", args{}},
		{"Network.enable", args{}},
		{"Log.enable", args{}},
		{"Emulation.setDeviceMetricsOverride", args{"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}},
		{"Emulation.setEmulatedMedia", args{"features": []args{{"name": "prefers-color-scheme", "value": scheme}}}},
		{"Page.navigate", args{"url": address}},
	} {
		if err := v.ask(c.method, c.params, nil); err != nil {
			return nil, err
		}
	}
	for !v.loaded {
		m, err := b.next()
		if err != nil {
			return nil, fmt.Errorf("show %s: %w", address, err)
		}
		v.event(m)
	}
	return v, nil
}

// evaluate returns what an expression says in the page, as text.
func (v *visit) evaluate(expression string) (string, error) {
	var got struct{ Result struct{ Value string } }
	err := v.ask("Runtime.evaluate", map[string]any{"expression": "String(" + expression + ")", "returnByValue": true}, &got)
	return got.Result.Value, err
}

// browse shows a page and prints its document, as the browser has it. The page must
// not be wider than the window, must ask no other host for anything, and give the
// browser nothing to complain of. With FILE there is a picture of it.
func (b *browser) browse(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || len(args) > 4 {
		ts.Fatalf("usage: browse URL WIDTH light|dark [FILE.png]")
	}
	width, err := strconv.Atoi(args[1])
	ts.Check(err)
	v, err := b.open(args[0], width, args[2])
	ts.Check(err)
	var metrics struct {
		CSSContentSize struct{ Width, Height float64 }
	}
	ts.Check(v.ask("Page.getLayoutMetrics", map[string]any{}, &metrics))
	if got := metrics.CSSContentSize.Width; int(got) > width {
		ts.Fatalf("%s is %g pixels wide in a window of %d", args[0], got, width)
	}
	home, err := url.Parse(args[0])
	ts.Check(err)
	for _, r := range v.requests {
		if u, err := url.Parse(r); err != nil || u.Host != home.Host {
			ts.Fatalf("%s asks for %s", args[0], r)
		}
	}
	if len(v.requests) < 2 {
		ts.Fatalf("%s has no style sheet: %q", args[0], v.requests)
	}
	if len(v.trouble) > 0 {
		ts.Fatalf("%s: the browser says %s", args[0], strings.Join(v.trouble, "; "))
	}
	ground, err := v.evaluate("getComputedStyle(document.body).backgroundColor")
	ts.Check(err)
	document, err := v.evaluate("document.documentElement.outerHTML")
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "ground %s\n%s\n", ground, document)
	if len(args) == 4 {
		ts.Check(v.picture(ts.MkAbs(args[3]), width, int(metrics.CSSContentSize.Height)))
	}
}

// picture writes what the whole page looks like.
func (v *visit) picture(file string, width, height int) error {
	var shot struct{ Data string }
	err := v.ask("Page.captureScreenshot", map[string]any{
		"captureBeyondViewport": true,
		"clip":                  map[string]any{"x": 0, "y": 0, "width": width, "height": min(height, 4000), "scale": 1},
	}, &shot)
	if err != nil {
		return err
	}
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}
