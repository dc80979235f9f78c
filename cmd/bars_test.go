package cmd

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"dist.example/content"
)

// onTerminal draws bars on a terminal that scrolled before, with a prompt above.
func onTerminal(width, height int) (*progress, *grid, *time.Time) {
	term := newGrid(width, height)
	p, _, now := testProgress("bars", 0, 0)
	p.w = term
	p.size = func() (int, int) { return term.width, term.height }
	for i := range height {
		term.write(fmt.Sprintf("%d\n", i))
	}
	term.write("$ pull\n")
	return p, term, now
}

// checkScreen finds what stood there before, then what the bars say now, and
// nothing else: whatever was drawn before is gone.
func checkScreen(t *testing.T, p *progress, term *grid, before []string) {
	t.Helper()
	lines := strings.Split(term.text(), "\n")
	want := append(before, p.barLines(term.width-1, term.height-1)...)
	for i := range want {
		want[i] = strings.TrimRight(want[i], " ")
	}
	if got := strings.Join(lines, "\n"); got != strings.Join(want, "\n") {
		t.Fatalf("at %d × %d:\n%s\nwant:\n%s", term.width, term.height, got, strings.Join(want, "\n"))
	}
}

func before(height int) (lines []string) {
	for i := range height {
		lines = append(lines, fmt.Sprint(i))
	}
	return append(lines, "$ pull")
}

var resizes = map[string]func(*grid, int, int){"wrapped": (*grid).reflow, "cropped": (*grid).crop}

func TestResizingLeavesNothingBehind(t *testing.T) {
	sizes := [][2]int{{40, 24}, {20, 24}, {80, 24}, {25, 6}, {25, 3}, {120, 3}, {60, 2}, {20, 1}, {80, 10}, {20, 4}, {200, 50}, {30, 5}}
	for kind, resize := range resizes {
		t.Run(kind, func(t *testing.T) {
			p, term, now := onTerminal(80, 24)
			for i := range 9 {
				p.observe(layerEvent(content.EventStarted, i, 0, 40<<20))
			}
			p.tick()
			checkScreen(t, p, term, before(24))
			for i, size := range sizes {
				resize(term, size[0], size[1])
				*now = now.Add(time.Second)
				p.observe(layerEvent(content.EventAdvanced, i%9, int64(i)<<20, 40<<20))
				frames := term.frames
				p.tick()
				checkScreen(t, p, term, before(24))
				if term.frames != frames+1 {
					t.Errorf("a frame took %d writes", term.frames-frames)
				}
			}
			resize(term, 22, 8)
			p.stop()
			if got := strings.TrimRight(term.text(), "\n"); got != strings.Join(before(24), "\n") {
				t.Errorf("at the end:\n%s", got)
			}
		})
	}
}

// A size that is out of date when a frame is drawn lets no line wrap.
func TestASizeThatIsOutOfDateWrapsNothing(t *testing.T) {
	p, term, _ := onTerminal(80, 24)
	p.size = func() (int, int) { return 200, 24 }
	p.observe(layerEvent(content.EventStarted, 1, 0, 40<<20))
	p.tick()
	p.tick()
	p.size = func() (int, int) { return 80, 24 }
	p.tick()
	checkScreen(t, p, term, before(24))
}

// Any sequence of events, messages and new sizes ends with what there is to say
// at that moment, and nothing else.
func TestWhateverHappensTheScreenIsRight(t *testing.T) {
	for kind, resize := range resizes {
		for seed := range uint64(40) {
			t.Run(fmt.Sprint(kind, seed), func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 1))
				p, term, now := onTerminal(20+random.IntN(100), 2+random.IntN(30))
				said := before(term.height)
				p.observe(layerEvent(content.EventStarted, 0, 0, 1<<20))
				for range 300 {
					*now = now.Add(time.Duration(random.IntN(3000)) * time.Millisecond)
					switch random.IntN(12) {
					case 0:
						p.message("hear")
						said = append(said, "hear")
					case 1, 2:
						resize(term, 20+random.IntN(100), 1+random.IntN(30))
					default:
						p.observe(randomEvent(random))
						continue
					}
					p.tick()
					checkScreen(t, p, term, said)
				}
				p.stop()
				if got := term.text(); got != strings.Join(said, "\n") {
					t.Errorf("at the end:\n%s", got)
				}
			})
		}
	}
}

func randomEvent(random *rand.Rand) content.Event {
	kind := content.EventKind(random.IntN(int(content.EventPlanned) + 1))
	total := int64(1+random.IntN(4)) << 20
	if random.IntN(5) == 0 {
		name := []string{"rootfs", "東京のファイル.tar", "éclair \U0001f354\U0001f354", strings.Repeat("long", 60)}[random.IntN(4)]
		return content.Event{Kind: kind, Name: name, Offset: random.Int64N(total), Total: -1}
	}
	return layerEvent(kind, random.IntN(30), random.Int64N(total+1), total)
}

func TestBarsFitEveryTerminal(t *testing.T) {
	for width := 1; width < 200; width++ {
		for _, height := range []int{1, 2, 3, 10} {
			p, _, now := testProgress("bars", width, height)
			for i := range 20 {
				p.observe(layerEvent(content.EventStarted, i, 0, 1<<40))
			}
			p.observe(content.Event{Kind: content.EventAdvanced, Name: "東京のファイルの名前はとても長い", Offset: 5, Total: -1})
			p.tick()
			*now = now.Add(time.Second)
			p.observe(layerEvent(content.EventAdvanced, 3, 1<<39, 1<<40))
			p.sample()
			lines := p.barLines(width-1, height-1)
			if len(lines) > max(1, height-1) {
				t.Fatalf("%d lines in a terminal of %d", len(lines), height)
			}
			for _, l := range lines {
				if n := cells(l); n >= width {
					t.Fatalf("width %d: a line of %d: %q", width, n, l)
				}
			}
		}
	}
}

// Down to twenty columns each line says what is the matter, and how far it is.
func TestNarrowBars(t *testing.T) {
	for width, want := range map[int]string{
		20: "layer 6b86b2  25 %\ntotal  1/3  24 %",
		30: "layer    6b86b273ff34  25 %\ntotal  1/3  24 %  4 s left",
		40: "layer    6b86b273ff34  25 %  3 s left\ntotal  1/3  24 %  10.0 MiB/s  4 s left",
		60: "layer    6b86b273ff34  10.0 MiB of 40.0 MiB  3 s left\ntotal  1/3  10.0 MiB of 41.0 MiB  10.0 MiB/s  4 s left",
		100: "layer    6b86b273ff34 [======>                        ]  10.0 MiB of 40.0 MiB  10.0 MiB/s  3 s left\n" +
			"total  1/3 blobs  10.0 MiB of 41.0 MiB  24 %  10.0 MiB/s  4 s left",
	} {
		p, _, now := testProgress("bars", width, 24)
		p.observe(layerEvent(content.EventReused, 7, 9, 9))
		p.observe(layerEvent(content.EventPlanned, 2, 0, 1<<20))
		p.observe(layerEvent(content.EventStarted, 1, 0, 40<<20))
		p.sample()
		*now = now.Add(time.Second)
		p.observe(layerEvent(content.EventAdvanced, 1, 10<<20, 40<<20))
		p.sample()
		if got := strings.Join(p.barLines(width-1, 23), "\n"); got != want {
			t.Errorf("width %d:\n%s\nwant:\n%s", width, got, want)
		}
	}
}

func TestHundredsOfBlobsTakeFewLines(t *testing.T) {
	p, term, _ := onTerminal(80, 24)
	for i := range 500 {
		p.observe(layerEvent(content.EventPlanned, i, 0, 1000))
	}
	for i := range 300 {
		p.observe(layerEvent(content.EventStarted, i, 0, 1000))
	}
	for i := range 37 {
		p.observe(layerEvent(content.EventFinished, i, 1000, 1000))
	}
	p.tick()
	checkScreen(t, p, term, before(24))
	text := term.text()
	if !strings.Contains(text, "\n257 more\n") || !strings.Contains(text, "37/500 blobs") || strings.Count(text, "\nlayer ") != maxBars {
		t.Errorf("%s", text)
	}
}

// A blob that begins again gives up its bytes, and its rate does not fall below
// nothing for that; one that failed is not done.
func TestRestartsAndFailures(t *testing.T) {
	p, _, now := testProgress("bars", 80, 24)
	p.observe(layerEvent(content.EventStarted, 1, 0, 40<<20))
	p.observe(layerEvent(content.EventStarted, 2, 0, 40<<20))
	p.sample()
	for i, offset := range []int64{10, 20, 0, 10} {
		*now = now.Add(time.Second)
		kind := content.EventAdvanced
		if i == 2 {
			kind = content.EventStarted
		}
		p.observe(layerEvent(kind, 1, offset<<20, 40<<20))
		p.sample()
	}
	p.observe(layerEvent(content.EventFailed, 2, 0, 40<<20))
	want := "layer    6b86b273ff34 [==>         ]  10.0 MiB of 40.0 MiB  7.5 MiB/s  4 s left\n" +
		"total  0/2 blobs  10.0 MiB of 80.0 MiB  12 %  7.5 MiB/s  10 s left"
	if got := strings.Join(p.barLines(79, 23), "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestNoCodesWhereThereIsNoTerminal(t *testing.T) {
	for _, env := range []string{"xterm-256color", "dumb", ""} {
		for _, mode := range []progressMode{"", "auto", "plain", "json", "none"} {
			var b bytes.Buffer
			p := newProgress(mode, &b, styler{}, func(string) string { return env })
			p.observe(layerEvent(content.EventStarted, 1, 0, 10))
			p.tick()
			p.message("hear")
			p.stop()
			if strings.ContainsAny(b.String(), "\x1b\r") {
				t.Errorf("%s with TERM=%s: %q", mode, env, &b)
			}
		}
	}
}

func TestCells(t *testing.T) {
	for s, want := range map[string]int{"": 0, "abc": 3, "é": 1, "e\u0301": 1, "東京": 4, "ｱ": 1, "Ａ": 2, "한글": 4, "\U0001f354": 2, "a\u200bb": 2, "…": 1} {
		if got := cells(s); got != want {
			t.Errorf("%q takes %d cells, want %d", s, got, want)
		}
	}
	if got := cut("東京都", 5); got != "東京" {
		t.Errorf("cut to five cells: %q", got)
	}
	if got := pad("東京", 6); got != "東京  " {
		t.Errorf("padded to six cells: %q", got)
	}
}
