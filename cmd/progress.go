package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// progressMode is the value of --progress.
type progressMode string

// UnmarshalText takes auto, plain, json or none; empty is auto.
func (m *progressMode) UnmarshalText(text []byte) error {
	return oneOf((*string)(m), string(text), "auto", "plain", "json", "none")
}

// How often each kind of progress speaks.
const (
	barsEvery  = 100 * time.Millisecond
	plainEvery = 10 * time.Second
	jsonEvery  = 500 * time.Millisecond
)

// progress tells on stderr how transfers go: bars that move on a terminal, a
// line every ten seconds elsewhere, JSON lines, or nothing. It draws from
// offsets and totals alone. All methods are for concurrent use, and observe
// only notes numbers, so that a slow terminal never slows a transfer.
type progress struct {
	w     io.Writer
	style styler
	kind  progressMode // bars, plain, json or none
	now   func() time.Time
	size  func() (width, height int)

	mu      sync.Mutex
	blobs   map[string]*blobProgress // by name, else by digest
	order   []*blobProgress
	here    int64 // bytes here, resumed ones among them
	total   int64 // bytes of all blobs that are known of
	reused  int64
	rate    rateMeter
	drawn   bool // there are bars on the screen
	width   int  // of the terminal when they were drawn
	changed bool

	due      bool // to be started by the first event
	stopOnce sync.Once
	quit     chan struct{}
	done     chan struct{}
}

// blobProgress is one blob under way.
type blobProgress struct {
	name    string // of what has no digest yet
	desc    oci.Descriptor
	offset  int64
	total   int64
	unknown bool // the total is
	running bool
	ended   bool // it is here, or was before
	rate    rateMeter
	told    int64 // the offset that JSON lines last spoke of
}

// newProgress settles what auto means for w.
func newProgress(mode progressMode, w io.Writer, style styler, getenv func(string) string) *progress {
	p := &progress{
		w: w, style: style, kind: mode, now: time.Now,
		size:  func() (int, int) { return terminalSize(w) },
		blobs: map[string]*blobProgress{},
	}
	if mode == "auto" || mode == "" {
		p.kind = "plain"
		if isTerminal(w) && getenv("TERM") != "dumb" {
			p.kind = "bars"
		}
	}
	return p
}

// start begins to draw; stop ends it and must be called once start was.
func (p *progress) start() {
	every := map[progressMode]time.Duration{"bars": barsEvery, "plain": plainEvery, "json": jsonEvery}[p.kind]
	if every == 0 {
		return
	}
	p.quit, p.done = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(p.done)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				p.tick()
			case <-p.quit:
				return
			}
		}
	}()
}

// startWhenDue is start at the first event, if any comes: what is done at once costs
// no more than before.
func (p *progress) startWhenDue() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due = true
}

// stop takes the bars off the screen. It may be called more than once.
func (p *progress) stop() {
	p.stopOnce.Do(func() {
		if p.quit != nil {
			close(p.quit)
			<-p.done
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.erase()
	})
}

// observe takes one event of a transfer (content.Observer).
func (p *progress) observe(e content.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.due {
		p.due = false
		p.start()
	}
	p.changed = true
	b, known := p.blob(e)
	if known && e.Kind == content.EventPlanned {
		return // another manifest lists it, too
	}
	if e.Total < 0 {
		b.unknown = true
	}
	if b.total != e.Total && e.Total > 0 {
		p.total += e.Total - b.total
		b.total = e.Total
	}
	switch e.Kind {
	case content.EventPlanned:
	case content.EventReused:
		p.reused += b.total
		p.total -= b.total
		b.total, b.running, b.ended = 0, false, true
	case content.EventFailed:
		b.running = false
	default:
		p.advance(b, e)
	}
	if p.kind == "json" && e.Kind != content.EventAdvanced {
		b.told = b.offset
		p.tellJSON(e)
	}
}

// advance moves b to where e says. Bytes that were here before do not count for
// the rate, nor do those that are given up when a blob begins again.
func (p *progress) advance(b *blobProgress, e content.Event) {
	step := e.Offset - b.offset
	p.here += step
	if e.Kind == content.EventStarted || step < 0 {
		p.rate.skip(step)
		b.rate.skip(step)
	}
	b.offset, b.ended = e.Offset, e.Kind == content.EventFinished
	b.running = !b.ended
}

func (p *progress) blob(e content.Event) (b *blobProgress, known bool) {
	id := e.Name
	if id == "" {
		id = e.Descriptor.Digest.String()
	}
	b, known = p.blobs[id]
	if !known {
		b = &blobProgress{name: e.Name, desc: e.Descriptor}
		p.blobs[id] = b
		p.order = append(p.order, b)
	}
	return b, known
}

// tick shows where things stand.
func (p *progress) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sample()
	switch p.kind {
	case "bars":
		p.draw()
	case "plain":
		if p.changed {
			fmt.Fprintf(p.w, "dist: %s\n", strings.Join(p.totals(), ", "))
		}
	case "json":
		p.tellRunning()
	}
	p.changed = false
}

func (p *progress) sample() {
	now := p.now()
	p.rate.sample(now, p.here)
	for _, b := range p.order {
		if b.running {
			b.rate.sample(now, b.offset)
		}
	}
}

// message prints a line for people above the bars, in one write with them.
func (p *progress) message(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := p.eraseSequence() + printable(line) + "\n"
	if p.drawn {
		text += p.frame()
	}
	_, _ = io.WriteString(p.w, text)
}

// totals are the parts of the plain line about everything: blobs, bytes, percent,
// rate, time left.
func (p *progress) totals() []string {
	parts := []string{progressOf(p.here, p.total)}
	if count := p.count(); count != "" {
		parts = []string{count + " blobs", parts[0]}
	}
	if p.total >= p.here && p.total > 0 {
		parts = append(parts, percentOf(p.here, p.total))
	}
	rate, left := p.pace(&p.rate, p.total-p.here)
	for _, part := range []string{rate, left} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// count is how many blobs are here of how many are known of, "" for a single one.
func (p *progress) count() string {
	if len(p.order) < 2 {
		return ""
	}
	ended := 0
	for _, b := range p.order {
		if b.ended {
			ended++
		}
	}
	return fmt.Sprintf("%d/%d", ended, len(p.order))
}

// pace says how fast bytes come, and how long the missing ones take at that rate;
// "" for what is not known.
func (p *progress) pace(m *rateMeter, missing int64) (rate, left string) {
	perSecond := m.perSecond()
	if perSecond <= 0 {
		return "", ""
	}
	if seconds := float64(missing) / perSecond; seconds > 0 && seconds < 1e6 {
		left = timeLeft(seconds) + " left"
	}
	return oci.HumanSize(int64(perSecond)) + "/s", left
}

// percentOf is rounded down: 100 % is all of it. total is more than 0.
func percentOf(n, total int64) string {
	return fmt.Sprintf("%d %%", int64(float64(n)/float64(total)*100))
}

// timeLeft is in whole seconds while it is short: more would only flicker.
func timeLeft(seconds float64) string {
	if seconds < 10 {
		return fmt.Sprintf("%.0f s", math.Ceil(seconds))
	}
	return humanDuration(time.Duration(seconds * float64(time.Second)))
}

// progressOf is "n of total", or n alone while it is not known how much comes.
func progressOf(n, total int64) string {
	if total < n {
		return oci.HumanSize(n)
	}
	return oci.HumanSize(n) + " of " + oci.HumanSize(total)
}

// eventJSON is one line of --progress json.
type eventJSON struct {
	Version   int        `json:"version"`
	Event     string     `json:"event"`
	Name      string     `json:"name,omitempty"`
	Digest    oci.Digest `json:"digest,omitempty"`
	MediaType string     `json:"mediaType,omitempty"`
	Offset    int64      `json:"offset"`
	Total     int64      `json:"total"`
}

func (p *progress) tellJSON(e content.Event) {
	word := map[content.EventKind]string{
		content.EventStarted: "started", content.EventAdvanced: "advanced", content.EventFinished: "finished",
		content.EventReused: "reused", content.EventFailed: "failed", content.EventPlanned: "planned",
	}[e.Kind]
	// A struct of strings and numbers always marshals.
	line, _ := json.Marshal(eventJSON{jsonVersion, word, e.Name, e.Descriptor.Digest, e.Descriptor.MediaType, e.Offset, e.Total})
	fmt.Fprintf(p.w, "%s\n", line)
}

func (p *progress) tellRunning() {
	for _, b := range p.order {
		if b.running && b.offset != b.told {
			b.told = b.offset
			e := content.Event{Kind: content.EventAdvanced, Name: b.name, Descriptor: b.desc, Offset: b.offset, Total: b.total}
			if b.unknown {
				e.Total = -1
			}
			p.tellJSON(e)
		}
	}
}

// rateMeter averages a rate over the last few seconds.
type rateMeter struct {
	samples []rateSample
	skipped int64
}

type rateSample struct {
	at    time.Time
	bytes int64
}

// rateWindow is how far back the average looks: long enough to be calm, short
// enough to notice a stall.
const rateWindow = 5 * time.Second

// skip leaves n bytes out of the rate: they were here before.
func (m *rateMeter) skip(n int64) { m.skipped += n }

func (m *rateMeter) sample(at time.Time, bytes int64) {
	m.samples = append(m.samples, rateSample{at, bytes - m.skipped})
	for len(m.samples) > 2 && at.Sub(m.samples[1].at) >= rateWindow {
		m.samples = m.samples[1:]
	}
}

func (m *rateMeter) perSecond() float64 {
	if len(m.samples) < 2 {
		return 0
	}
	first, last := m.samples[0], m.samples[len(m.samples)-1]
	seconds := last.at.Sub(first.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return max(0, float64(last.bytes-first.bytes)/seconds)
}
