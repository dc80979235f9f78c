package cmd

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"dist.example/oci"
)

const (
	maxBars     = 6  // blobs shown at once
	minBarWidth = 10 // below it the bar gives way to the numbers
	maxBarWidth = 40
	eraseLine   = "\x1b[2K"
	cursorUp    = "\x1b[1A"
)

// draw puts one line for each of a few running blobs, and one for everything,
// in place of the last. Nothing is ever wider than the terminal: a line that
// wraps could not be erased again.
func (p *progress) draw() {
	if len(p.order) == 0 {
		return
	}
	width, height := p.size()
	lines := p.barLines(width, height)
	var b strings.Builder
	b.WriteString(p.eraseSequence())
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	p.drawn = len(lines)
	_, _ = p.w.Write([]byte(b.String()))
}

func (p *progress) barLines(width, height int) []string {
	if len(p.order) == 1 && p.order[0].name != "" {
		// One thing that is all there is, and not the first of many blobs.
		return []string{p.line(width, blobLabel(p.order[0]), p.here, p.total, p.totals())}
	}
	room := min(maxBars, height-2)
	var lines []string
	hidden := 0
	for _, b := range p.order {
		switch {
		case !b.running:
		case len(lines) < room:
			lines = append(lines, p.barLine(width, b))
		default:
			hidden++
		}
	}
	label := "total"
	if hidden > 0 {
		label = fmt.Sprintf("total (%d more)", hidden)
	}
	return append(lines, p.line(width, label, p.here, p.total, p.totals()))
}

func (p *progress) barLine(width int, b *blobProgress) string {
	return p.line(width, blobLabel(b), b.offset, b.total,
		[]string{progressOf(b.offset, b.total)})
}

// blobLabel names a blob: what it is and the beginning of its digest, or the name
// of what is being made.
func blobLabel(b *blobProgress) string {
	if b.name != "" {
		return printable(b.name)
	}
	d := b.desc
	kind := "blob"
	switch {
	case oci.IsManifest(d.MediaType):
		kind = "manifest"
	case oci.IsIndex(d.MediaType):
		kind = "index"
	case oci.IsImageConfig(d.MediaType):
		kind = "config"
	case oci.IsImageLayer(d.MediaType):
		kind = "layer"
	}
	return fmt.Sprintf("%-8s %s", kind, d.Digest.Encoded()[:12])
}

// line lays out label, bar and numbers in width-1 cells. With less room the bar
// goes first, then the numbers from the right, then the end of the label.
func (p *progress) line(width int, label string, done, total int64, numbers []string) string {
	width--
	const labelWidth = 21 // "manifest 123456789012"
	label = fmt.Sprintf("%-*s", labelWidth, label)
	if short := width - utf8.RuneCountInString(strings.Join(numbers[:min(1, len(numbers))], "")) - 2; short < labelWidth {
		// No room for both: the number says more than the end of the label.
		label = cut(strings.TrimRight(label, " "), max(short, 5))
	}
	for len(numbers) > 0 {
		text := strings.Join(numbers, "  ")
		room := width - utf8.RuneCountInString(label) - utf8.RuneCountInString(text) - 4
		if room >= minBarWidth && total >= done && total > 0 {
			return label + " " + p.style.bar(bar(min(room, maxBarWidth), done, total)) + "  " + text
		}
		if room >= -2 {
			return strings.TrimRight(label+"  "+text, " ")
		}
		numbers = numbers[:len(numbers)-1]
	}
	return cut(strings.TrimRight(label, " "), width)
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

func cut(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:max(0, width)])
}

// erase takes the bars off the screen, to be drawn anew at the next tick.
func (p *progress) erase() {
	if p.drawn > 0 {
		_, _ = p.w.Write([]byte(p.eraseSequence()))
		p.drawn = 0
	}
}

func (p *progress) eraseSequence() string {
	return strings.Repeat(cursorUp+eraseLine, p.drawn)
}
