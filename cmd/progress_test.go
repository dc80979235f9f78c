package cmd

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// testProgress draws kind into a buffer of the given size, with a clock that
// stands still until it is moved.
func testProgress(kind progressMode, width, height int) (*progress, *bytes.Buffer, *time.Time) {
	var b bytes.Buffer
	now := time.Unix(1_000_000, 0)
	p := newProgress(kind, &b, styler{}, func(string) string { return "" })
	p.kind = kind
	p.now = func() time.Time { return now }
	p.size = func() (int, int) { return width, height }
	return p, &b, &now
}

func layerEvent(kind content.EventKind, n int, offset, total int64) content.Event {
	d := oci.DigestBytes(fmt.Append(nil, n))
	return content.Event{Kind: kind, Offset: offset, Total: total, Descriptor: oci.Descriptor{MediaType: oci.MediaTypeLayer, Digest: d, Size: total}}
}

// screen is what a terminal of that size shows after what was written to it.
func screen(b *bytes.Buffer, width, height int) string {
	term := newGrid(width, height)
	term.write(b.String())
	return strings.TrimRight(term.text(), "\n")
}

func TestBarsShowBlobsAndTotal(t *testing.T) {
	p, b, now := testProgress("bars", 80, 24)
	p.observe(layerEvent(content.EventStarted, 1, 0, 40<<20))
	p.observe(layerEvent(content.EventReused, 2, 5, 5))
	p.tick()
	*now = now.Add(time.Second)
	p.observe(layerEvent(content.EventAdvanced, 1, 10<<20, 40<<20))
	p.tick()
	want := "layer    6b86b273ff34 [=>         ]  10.0 MiB of 40.0 MiB  10.0 MiB/s  3 s left\n" +
		"total  1/2 blobs  10.0 MiB of 40.0 MiB  25 %  10.0 MiB/s  3 s left"
	if got := screen(b, 80, 24); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestMessagesStandAboveTheBars(t *testing.T) {
	p, b, _ := testProgress("bars", 80, 24)
	b.WriteString("$ dist pull\n")
	p.observe(layerEvent(content.EventStarted, 1, 0, 100))
	p.tick()
	p.message("a warning")
	if got, want := screen(b, 80, 24), "$ dist pull\na warning\nlayer    6b86b273ff34"; !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 3 {
		t.Errorf("a message amid bars:\n%s", got)
	}
	p.stop()
	p.stop()
	b.WriteString("$ ")
	if got := screen(b, 80, 24); got != "$ dist pull\na warning\n$ " {
		t.Errorf("at the end:\n%s", got)
	}
}

func TestResumedBytesAreHereButNotMoved(t *testing.T) {
	p, _, now := testProgress("plain", 80, 24)
	p.tick()
	p.observe(layerEvent(content.EventStarted, 1, 60<<20, 100<<20))
	*now = now.Add(time.Second)
	p.observe(layerEvent(content.EventAdvanced, 1, 70<<20, 100<<20))
	p.tick()
	if got := strings.Join(p.totals(), ", "); got != "70.0 MiB of 100.0 MiB, 70 %, 10.0 MiB/s, 3 s left" {
		t.Error(got)
	}
}

func TestPlainSpeaksOnlyWhenThereIsNews(t *testing.T) {
	p, b, _ := testProgress("plain", 80, 24)
	p.tick()
	p.observe(layerEvent(content.EventStarted, 1, 0, 2048))
	p.tick()
	p.tick()
	if got := b.String(); got != "dist: 0 B of 2.0 KiB, 0 %\n" {
		t.Errorf("%q", got)
	}
}

func TestJSONLinesTellEachBlobsLife(t *testing.T) {
	p, b, _ := testProgress("json", 80, 24)
	p.observe(layerEvent(content.EventStarted, 1, 0, 10))
	p.observe(layerEvent(content.EventAdvanced, 1, 4, 10))
	p.tick()
	p.tick()
	p.observe(layerEvent(content.EventFinished, 1, 10, 10))
	p.observe(layerEvent(content.EventReused, 2, 7, 7))
	var words []string
	for l := range strings.Lines(b.String()) {
		rest, ok := strings.CutPrefix(l, `{"version":1,"event":"`)
		if !ok {
			t.Fatalf("line %q", l)
		}
		words = append(words, rest[:strings.IndexByte(rest, '"')])
	}
	if got := strings.Join(words, " "); got != "started advanced finished reused" {
		t.Error(got)
	}
}

func TestNoneIsSilent(t *testing.T) {
	p, b, _ := testProgress("none", 80, 24)
	p.start()
	p.observe(layerEvent(content.EventStarted, 1, 0, 10))
	p.tick()
	p.stop()
	if b.Len() != 0 {
		t.Errorf("%q", b)
	}
}

func TestReusedBlobsAreNoWork(t *testing.T) {
	p, _, _ := testProgress("bars", 80, 24)
	p.observe(layerEvent(content.EventReused, 1, 500, 500))
	p.observe(layerEvent(content.EventStarted, 2, 0, 100))
	p.observe(layerEvent(content.EventFinished, 2, 100, 100))
	if p.here != 100 || p.total != 100 {
		t.Errorf("%d of %d, want 100 of 100", p.here, p.total)
	}
}

func TestContentThatIsBeingMadeHasNoEndYet(t *testing.T) {
	p, b, _ := testProgress("bars", 80, 24)
	made := func(name string, offset int64) content.Event {
		return content.Event{Kind: content.EventAdvanced, Name: name, Offset: offset, Total: -1}
	}
	p.observe(made("rootfs", 5<<20))
	p.observe(made("more", 3<<20))
	p.tick()
	want := "rootfs  5.0 MiB\nmore  3.0 MiB\ntotal  0/2 blobs  8.0 MiB"
	if got := screen(b, 80, 24); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestOneThingHasOneBar(t *testing.T) {
	p, b, now := testProgress("bars", 80, 24)
	check := func(offset int64) content.Event {
		return content.Event{Kind: content.EventAdvanced, Name: "check", Offset: offset, Total: 40 << 20}
	}
	p.observe(check(0))
	p.tick()
	*now = now.Add(time.Second)
	p.observe(check(10 << 20))
	p.tick()
	want := "check [====>                ]  10.0 MiB of 40.0 MiB  25 %  10.0 MiB/s  3 s left"
	if got := screen(b, 80, 24); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestProgressThatIsDueStartsWithTheFirstEvent(t *testing.T) {
	p, _, _ := testProgress("bars", 80, 24)
	p.startWhenDue()
	if p.quit != nil {
		t.Error("it runs before there is anything to tell")
	}
	p.observe(layerEvent(content.EventStarted, 1, 0, 100))
	if p.quit == nil {
		t.Error("it does not run while there is something to tell")
	}
	p.stop()
	select {
	case <-p.done:
	default:
		t.Error("it runs on after its end")
	}
}
