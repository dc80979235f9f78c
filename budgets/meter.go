package budgets

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"time"
)

const (
	// window is how much debt is let run up: what it is worth at a rate is the
	// burst. It is long enough that processes which oversleep lose nothing, and
	// short enough to be felt by nobody.
	window = 250 * time.Millisecond
	// grains is how many parts a window is granted in, where more is wanted than
	// is there: not so many that processes do nothing but ask.
	grains = 32
	// maxDebt is more than any process can owe: one request a minute.
	maxDebt = time.Minute
)

// pace is a rate and what follows from it. The zero value is no limit.
type pace struct {
	rate  Frequency
	burst time.Duration // the debt that is let run up: the window, or what one costs
	grain int64         // the least that is granted when more is wanted
}

func newPace(f Frequency) pace {
	p := pace{rate: f}
	if f.N > 0 {
		p.burst = max(window, p.cost(1))
		p.grain = max(1, p.worth(window/grains))
	}
	return p
}

func (p pace) unlimited() bool { return p.rate.N == 0 }

// cost is what n cost, rounded up, so that nobody pays too little.
func (p pace) cost(n int64) time.Duration {
	hi, lo := bits.Mul64(uint64(n), uint64(p.rate.Per))
	q, rest := bits.Div64(hi, lo, uint64(p.rate.N))
	if rest > 0 {
		q++
	}
	return time.Duration(q)
}

// worth is how many d pays for, rounded down.
func (p pace) worth(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(d), uint64(p.rate.N))
	q, _ := bits.Div64(hi, lo, uint64(p.rate.Per))
	return int64(q)
}

// meter is a debt that falls with time.
type meter struct {
	at   int64 // unix nanoseconds
	debt time.Duration
}

// settle brings the meter to now. A clock that went back changes no debt.
func (m *meter) settle(now int64) {
	// Two times may lie so far apart that their difference is beyond all numbers.
	if passed := time.Duration(now - m.at); now > m.at && (passed < 0 || passed > m.debt) {
		m.debt = 0
	} else if now > m.at {
		m.debt -= passed
	}
	m.at = now
}

// grant takes as much of n as there is room for, all or at least a grain, or
// says how long it takes until there is.
func (m *meter) grant(p pace, n int64) (granted int64, wait time.Duration) {
	least := min(n, p.grain)
	if over := m.debt + p.cost(least) - p.burst; over > 0 {
		return 0, over
	}
	granted = min(n, max(least, p.worth(p.burst-m.debt)))
	m.debt += p.cost(granted)
	return granted, 0
}

// state is what is in the file of a host.
type state struct{ bytes, requests meter }

const (
	magic     = "DISTBG01"
	stateSize = 48
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (s *state) encode() []byte {
	p := append(make([]byte, 0, stateSize), magic...)
	for _, m := range []meter{s.bytes, s.requests} {
		p = binary.LittleEndian.AppendUint64(p, uint64(m.at))
		p = binary.LittleEndian.AppendUint64(p, uint64(m.debt))
	}
	p = append(p, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint32(p, crc32.Checksum(p, castagnoli))
}

// decode reads a state; one without debts where p is none.
func decode(p []byte) state {
	const body = stateSize - 4
	if len(p) != stateSize || string(p[:len(magic)]) != magic || binary.LittleEndian.Uint32(p[body:]) != crc32.Checksum(p[:body], castagnoli) {
		return state{}
	}
	return state{decodeMeter(p[8:]), decodeMeter(p[24:])}
}

func decodeMeter(p []byte) meter {
	at, debt := int64(binary.LittleEndian.Uint64(p)), time.Duration(binary.LittleEndian.Uint64(p[8:]))
	if debt < 0 || debt > maxDebt {
		return meter{}
	}
	return meter{at, debt}
}
