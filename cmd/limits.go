package cmd

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"dist.example/budgets"
)

// byteRate is bytes a second; 0 is no limit.
type byteRate int64

// UnmarshalText takes 10M, 10MB, 500K, 1.5MiB/s, 2048: letters are powers of 1024, and
// without one the number is of bytes. Empty and 0 are no limit.
func (r *byteRate) UnmarshalText(text []byte) error {
	*r = 0
	if len(text) == 0 {
		return nil
	}
	number, factor := strings.TrimSuffix(string(text), "/s"), 1.0
	for i, unit := range []string{"K", "M", "G", "T"} {
		if m := strings.SplitN(number, unit, 2); len(m) == 2 && slices.Contains([]string{"", "B", "iB"}, m[1]) {
			number, factor = m[0], math.Pow(1024, float64(i+1))
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	// Nothing but digits: no signs, no exponents, no words for infinity.
	if err != nil || strings.Trim(number, "0123456789.") != "" || v*factor > 1<<50 || (v > 0 && v*factor < 1) {
		return usagef("%q is no rate such as 10M, 500K or 1.5MiB/s (bytes a second; K, M and G are powers of 1024)", text)
	}
	*r = byteRate(v * factor)
	return nil
}

// frequency is so many a second or a minute; the zero value is no limit.
type frequency budgets.Frequency

// UnmarshalText takes 5/s and 90/m; empty is no limit.
func (f *frequency) UnmarshalText(text []byte) error {
	*f = frequency{}
	if len(text) == 0 {
		return nil
	}
	number, unit, _ := strings.Cut(string(text), "/")
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute}[unit]
	n, err := strconv.ParseUint(number, 10, 31)
	if err != nil || n == 0 || per == 0 {
		return usagef("%q is no number of requests such as 5/s or 90/m", text)
	}
	*f = frequency{int64(n), per}
	return nil
}

// connections is a number of them; 0 is no limit.
type connections int

// UnmarshalText takes 1 to 256; empty is no limit.
func (c *connections) UnmarshalText(text []byte) error { return (*jobs)(c).UnmarshalText(text) }

// limitFlags are what verbs that talk to registries keep to.
type limitFlags struct {
	LimitRate        byteRate    `group:"network" placeholder:"RATE" env:"DIST_LIMIT_RATE" help:"Bytes a second, in and out together, that all commands of a store may move from and to one registry: 10M, 500K, 1.5MiB/s; 0 lifts it."`
	LimitRequests    frequency   `group:"network" placeholder:"N/s" help:"Requests that they may send to it in a second, or with N/m in a minute."`
	LimitConnections connections `group:"network" placeholder:"N" help:"Connections that they may have to one host at once."`
}

func (f limitFlags) limits() budgets.Limits {
	return budgets.Limits{
		Rate: int64(f.LimitRate), Requests: budgets.Frequency(f.LimitRequests), Connections: int(f.LimitConnections),
	}
}
