package cmd

import (
	"slices"
	"strconv"
	"strings"
)

// grid is as much of a terminal as bars need: a grid of cells with a cursor,
// autowrap, scrolling, the codes that bars use, and two ways to take a new size.
type grid struct {
	width, height int
	rows          []row    // of the screen
	past          []string // rows that scrolled out at the top
	x, y          int
	nowrap        bool
	frames        int // how often it was written to
}

// row is one line of the grid. A rune of two cells is followed by a zero.
type row struct {
	cells   []rune
	wrapped bool // the next row goes on with its text
}

func newGrid(width, height int) *grid {
	t := &grid{width: width, height: height}
	t.rows = make([]row, height)
	return t
}

// Write is write, for a progress to write to.
func (t *grid) Write(p []byte) (int, error) {
	t.frames++
	t.write(string(p))
	return len(p), nil
}

func (t *grid) write(s string) {
	for len(s) > 0 {
		if rest, ok := strings.CutPrefix(s, "\x1b["); ok {
			end := strings.IndexFunc(rest, func(r rune) bool { return r >= '@' && r <= '~' })
			t.control(rest[:end], rest[end])
			s = rest[end+1:]
			continue
		}
		for _, r := range s {
			t.put(r)
			s = s[len(string(r)):]
			break
		}
	}
}

func (t *grid) control(args string, code byte) {
	n, _ := strconv.Atoi(args)
	switch code {
	case 'A':
		t.y = max(0, t.y-max(1, n))
	case 'K':
		t.rows[t.y].erase(min(t.x, t.width))
	case 'J':
		t.rows[t.y].erase(min(t.x, t.width))
		for y := t.y + 1; y < t.height; y++ {
			t.rows[y] = row{}
		}
	case 'l', 'h':
		if args != "?7" {
			panic("mode " + args)
		}
		t.nowrap = code == 'l'
	case 'm':
	default:
		panic("code " + args + string(code))
	}
}

func (r *row) erase(from int) {
	r.wrapped = false
	if len(r.cells) > from {
		r.cells = r.cells[:from]
	}
}

func (r *row) set(x int, c rune) {
	for len(r.cells) <= x {
		r.cells = append(r.cells, ' ')
	}
	r.cells[x] = c
}

func (t *grid) put(c rune) {
	switch c {
	case '\r':
		t.x = 0
		return
	case '\n': // with the carriage return that the line discipline adds
		t.x = 0
		t.down()
		return
	}
	n := runeCells(c)
	if n == 0 {
		return
	}
	if t.x+n > t.width { // the wrap that was pending
		if t.nowrap {
			t.x = t.width - n
		} else {
			t.rows[t.y].wrapped = true
			t.x = 0
			t.down()
		}
	}
	t.rows[t.y].set(t.x, c)
	if n == 2 {
		t.rows[t.y].set(t.x+1, 0)
	}
	t.x += n
}

func (t *grid) down() {
	if t.y++; t.y == t.height {
		t.y--
		t.scroll(1)
	}
}

// scroll moves n rows out at the top.
func (t *grid) scroll(n int) {
	for _, r := range t.rows[:n] {
		t.past = append(t.past, r.text())
	}
	t.rows = append(slices.Clone(t.rows[n:]), make([]row, n)...)
}

// crop takes a new size as xterm does: what is too wide is lost, and rows go at
// the top only as far as the cursor has to stay on the screen.
func (t *grid) crop(width, height int) {
	if t.y >= height {
		n := t.y - height + 1
		t.scroll(n)
		t.y -= n
	}
	t.rows = append(t.rows, make([]row, max(0, height-len(t.rows)))...)[:height]
	for i := range t.rows {
		t.rows[i].erase(width)
	}
	t.width, t.height, t.x = width, height, min(t.x, width-1)
}

// reflow takes a new size as terminals do that wrap anew what they show. The
// cursor stays with its text; what does not fit goes at the top, but not the
// cursor's row, and the rest below.
func (t *grid) reflow(width, height int) {
	var (
		rows []row
		at   int
	)
	for y := 0; y < t.height; y++ {
		line, cursor := []rune(nil), -1
		for {
			if y == t.y {
				cursor = len(line) + t.x
			}
			line = append(line, t.rows[y].cells...)
			if !t.rows[y].wrapped || y+1 == t.height {
				break
			}
			y++
		}
		if cursor >= 0 {
			at = len(rows) + cursor/width
			t.x = cursor % width
		}
		for len(line) > width {
			rows = append(rows, row{slices.Clone(line[:width]), true})
			line = line[width:]
		}
		rows = append(rows, row{cells: line})
	}
	for len(rows) > at+1 && len(rows[len(rows)-1].cells) == 0 {
		rows = rows[:len(rows)-1]
	}
	top := max(0, min(at, len(rows)-height))
	for _, r := range rows[:top] {
		t.past = append(t.past, r.text())
	}
	t.rows = append(slices.Clone(rows[top:]), make([]row, height)...)[:height]
	t.y, t.width, t.height = at-top, width, height
}

func (r row) text() string {
	return strings.TrimRight(strings.ReplaceAll(string(r.cells), "\x00", ""), " ")
}

// text is everything, what has scrolled out too, without the empty rows at the
// end. The cursor's row keeps its blanks up to the cursor.
func (t *grid) text() string {
	all := slices.Clone(t.past)
	for y, r := range t.rows {
		text := r.text()
		if y == t.y && len(text) < t.x {
			text += strings.Repeat(" ", t.x-len(text))
		}
		all = append(all, text)
	}
	return strings.TrimRight(strings.Join(all, "\n"), "\n")
}
