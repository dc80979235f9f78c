package cmd

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

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

func TestBarsShowBlobsAndTotal(t *testing.T) {
	p, b, now := testProgress("bars", 80, 24)
	p.observe(layerEvent(content.EventStarted, 1, 0, 40<<20))
	p.tick()
	*now = now.Add(time.Second)
	p.observe(layerEvent(content.EventAdvanced, 1, 10<<20, 40<<20))
	b.Reset()
	p.tick()
	want := eraseSequenceOf(2) +
		"layer    6b86b273ff34 [=======>                        ]  10.0 MiB of 40.0 MiB\n" +
		"total                  10.0 MiB of 40.0 MiB  25 %  10.0 MiB/s  3 s left\n"
	if got := b.String(); got != want {
		t.Errorf("got:\n%q\nwant:\n%q", got, want)
	}
}

func eraseSequenceOf(lines int) string { return strings.Repeat("\x1b[1A\x1b[2K", lines) }

func TestBarsFitEveryTerminal(t *testing.T) {
	for width := 1; width < 200; width++ {
		p, b, now := testProgress("bars", width, 10)
		for i := range 20 {
			p.observe(layerEvent(content.EventStarted, i, 0, 1<<40))
		}
		p.tick()
		*now = now.Add(time.Second)
		p.observe(layerEvent(content.EventAdvanced, 3, 1<<39, 1<<40))
		b.Reset()
		p.tick()
		text := strings.ReplaceAll(strings.ReplaceAll(b.String(), cursorUp, ""), eraseLine, "")
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if len(lines) > 9 {
			t.Fatalf("width %d: %d lines in a terminal of 10", width, len(lines))
		}
		for _, l := range lines {
			if n := utf8.RuneCountInString(l); n >= width && n > 0 {
				t.Fatalf("width %d: a line of %d: %q", width, n, l)
			}
		}
	}
}

func TestBarsLeaveNothingBehind(t *testing.T) {
	p, b, _ := testProgress("bars", 80, 24)
	p.observe(layerEvent(content.EventStarted, 1, 0, 100))
	p.tick()
	b.Reset()
	p.message("a warning")
	if got := b.String(); got != eraseSequenceOf(2)+"a warning\n" {
		t.Errorf("a message amid bars writes %q", got)
	}
	p.tick()
	b.Reset()
	p.stop()
	p.stop()
	if got := b.String(); got != eraseSequenceOf(2) {
		t.Errorf("the end writes %q", got)
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
	want := "rootfs                 5.0 MiB\nmore                   3.0 MiB\ntotal                  8.0 MiB\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b, want)
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
	b.Reset()
	p.tick()
	want := eraseSequenceOf(1) + "check                  10.0 MiB of 40.0 MiB  25 %  10.0 MiB/s  3 s left\n"
	if got := b.String(); got != want {
		t.Errorf("got:\n%q\nwant:\n%q", got, want)
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
