package cmd

import (
	"fmt"
	"slices"
	"strings"

	"dist.example/oci"
)

const (
	maxBars     = 6  // blobs shown at once
	minBarWidth = 10 // below it the bar gives way to the numbers
	maxBarWidth = 40
	labelWidth  = 21 // "manifest 123456789012"
	shortLabel  = 12 // "layer 123456"
)

// The codes that bars are drawn with. While a frame is drawn, lines end at the
// margin: one that is wider than the terminal has become since it was asked for
// its size does not wrap.
const (
	lineStart  = "\r"
	cursorUp   = "\x1b[%dA"
	eraseRight = "\x1b[K"
	eraseBelow = "\x1b[J"
	wrapOff    = "\x1b[?7l"
	wrapOn     = "\x1b[?7h"
)

// draw puts one line for each of a few running blobs, and one for everything,
// in place of the last, in one write.
//
// Between frames the cursor rests where the first line begins. There it stays
// when the terminal changes its size, whether that wraps the lines anew, cuts
// them, or scrolls; so what was drawn can be found and erased again without
// knowing what has become of it, and never scrolls away while it is drawn.
func (p *progress) draw() {
	if len(p.order) == 0 {
		return
	}
	_, _ = p.w.Write([]byte(p.frame()))
	p.drawn = true
}

// frame writes line over line and erases what is left of the old ones: a screen
// that is emptied first would flicker.
func (p *progress) frame() string {
	width, height := p.size()
	lines := p.barLines(width-1, height-1)
	var b strings.Builder
	b.WriteString(lineStart + wrapOff)
	if width != p.width { // rows that were wrapped may be remembered as one line
		b.WriteString(eraseBelow)
		p.width = width
	}
	for i, line := range lines {
		b.WriteString(line)
		if i < len(lines)-1 {
			b.WriteString(eraseRight + "\n")
		}
	}
	b.WriteString(eraseBelow + wrapOn + lineStart)
	if len(lines) > 1 {
		fmt.Fprintf(&b, cursorUp, len(lines)-1)
	}
	return b.String()
}

// erase takes the bars off the screen, to be drawn anew at the next tick.
func (p *progress) erase() {
	if p.drawn {
		_, _ = p.w.Write([]byte(p.eraseSequence()))
		p.drawn = false
	}
}

func (p *progress) eraseSequence() string {
	if !p.drawn {
		return ""
	}
	return lineStart + eraseBelow
}

// barLine is one line before it is laid out: what it is about, and what it may
// say of it, the longest first. The first words of a choice are its label.
type barLine struct {
	done, total int64
	choices     [][]string
}

// barLines are at most height lines of at most width cells.
func (p *progress) barLines(width, height int) []string {
	if len(p.order) == 1 && p.order[0].name != "" {
		// One thing that is all there is, and not the first of many blobs.
		return layOut(width, p.style, nil, p.totalLine(width, blobLabel(p.order[0])))
	}
	var running []*blobProgress
	for _, b := range p.order {
		if b.running {
			running = append(running, b)
		}
	}
	room := max(0, min(maxBars, height-1))
	more := ""
	if len(running) > room {
		if room = min(room, max(0, height-2)); height > 1 {
			more = fmt.Sprintf("%d more", len(running)-room)
		}
		running = running[:min(room, len(running))]
	}
	var blobs []barLine
	for _, b := range running {
		blobs = append(blobs, p.blobLine(width, b))
	}
	lines := layOut(width, p.style, blobs, p.totalLine(width, "total"))
	if more != "" {
		last := len(lines) - 1
		lines = append(lines[:last], cut(more, width), lines[last])
	}
	return lines
}

// blobLine says of a blob how much of it is here, how fast it comes and when it
// will all be here.
func (p *progress) blobLine(width int, b *blobProgress) barLine {
	label, short := cut(blobLabel(b), max(labelWidth, width/3)), b.shortLabel()
	size, brief := sizes(b.offset, b.total)
	rate, left := p.pace(&b.rate, b.total-b.offset)
	return barLine{b.offset, b.total, [][]string{
		{label, size, rate, left},
		{label, size, left},
		{label, brief, left},
		{label, brief},
		{short, brief},
		{short},
	}}
}

// totalLine says the same of everything, and how many blobs are done.
func (p *progress) totalLine(width int, label string) barLine {
	label = cut(label, max(labelWidth, width/3))
	size, brief := sizes(p.here, p.total)
	rate, left := p.pace(&p.rate, p.total-p.here)
	percent, count, blobs := "", p.count(), ""
	if size != brief {
		percent = brief
	}
	if count != "" {
		blobs = count + " blobs"
	}
	return barLine{p.here, p.total, [][]string{
		{label, blobs, size, percent, rate, left},
		{label, blobs, size, rate, left},
		{label, count, size, rate, left},
		{label, blobs, size, left},
		{label, count, brief, rate, left},
		{label, count, brief, left},
		{label, count, brief},
		{count, brief},
		{brief},
	}}
}

// sizes are "n of total", padded so that it does not jump, and its short form, a
// percentage. While it is not known how much comes, both are n.
func sizes(n, total int64) (long, short string) {
	if total < n || total <= 0 {
		return oci.HumanSize(n), oci.HumanSize(n)
	}
	all := oci.HumanSize(total)
	return fmt.Sprintf("%*s of %s", len(all), oci.HumanSize(n), all), percentOf(n, total)
}

// layOut chooses for each line the most that fits, and gives what room is left to
// bars: of one length for all blobs, and for the total where it has that room.
func layOut(width int, style styler, blobs []barLine, total barLine) []string {
	lines := append(blobs, total)
	words := make([][]string, len(lines))
	for i, l := range lines {
		words[i] = l.choose(width)
	}
	barred := max(1, len(blobs)) // lines that have a bar, or none has one
	label, length := 0, 0
	for i := range barred {
		label = max(label, cells(words[i][0]))
	}
	if slices.ContainsFunc(lines, barLine.known) {
		length = maxBarWidth
	}
	for i := range barred {
		length = min(length, barRoom(words[i], label, width))
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		switch {
		case length < minBarWidth || barRoom(words[i], label, width) < length:
			out[i] = cut(strings.Join(words[i], "  "), width)
		case l.known():
			out[i] = pad(words[i][0], label) + " " + style.bar(bar(length, l.done, l.total)) + "  " + strings.Join(words[i][1:], "  ")
		default:
			out[i] = pad(words[i][0], label+1+length) + "  " + strings.Join(words[i][1:], "  ")
		}
	}
	return out
}

// barRoom is how long a bar between label and numbers may be.
func barRoom(words []string, label, width int) int {
	return width - label - 1 - 2 - cells(strings.Join(words[1:], "  "))
}

// choose returns the words of the first choice that fits, without empty ones.
func (l barLine) choose(width int) (words []string) {
	for _, choice := range l.choices {
		words = nil
		for _, w := range choice {
			if w != "" {
				words = append(words, w)
			}
		}
		if cells(strings.Join(words, "  ")) <= width {
			break
		}
	}
	return words
}

// known says whether it is known how much comes.
func (l barLine) known() bool { return l.total >= l.done && l.total > 0 }

// blobLabel names a blob: what it is and the beginning of its digest, or the name
// of what is being made.
func blobLabel(b *blobProgress) string {
	if b.name != "" {
		return printable(b.name)
	}
	return fmt.Sprintf("%-8s %s", b.kind(), b.desc.Digest.Encoded()[:12])
}

func (b *blobProgress) shortLabel() string {
	if b.name != "" {
		return cut(printable(b.name), shortLabel)
	}
	return cut(b.kind()+" "+b.desc.Digest.Encoded(), shortLabel)
}

func (b *blobProgress) kind() string {
	switch t := b.desc.MediaType; {
	case oci.IsManifest(t):
		return "manifest"
	case oci.IsIndex(t):
		return "index"
	case oci.IsImageConfig(t):
		return "config"
	case oci.IsImageLayer(t):
		return "layer"
	}
	return "blob"
}

// bar is done of total in width cells, brackets included.
func bar(width int, done, total int64) string {
	cells := width - 2
	full := 0
	if total > 0 {
		full = int(float64(cells) * float64(min(done, total)) / float64(total))
	}
	head := ""
	if full > 0 && full < cells {
		head, full = ">", full-1
	}
	return "[" + strings.Repeat("=", full) + head + strings.Repeat(" ", cells-full-len(head)) + "]"
}
