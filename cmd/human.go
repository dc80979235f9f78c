package cmd

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"dist.example/oci"
)

// humanDuration writes d in its largest fitting unit: "1.2 s", "3 min", "2 h",
// "4 days".
func humanDuration(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%.2f s", max(d, 0).Seconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", max(d, 0).Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// humanAge is how long ago t was; a time in the future counts as now.
func humanAge(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := now.Sub(t)
	if d < 10*time.Second {
		return "now"
	}
	return humanDuration(d)
}

// humanUntil is when t will be: "in 7 days", or how long ago it was.
func humanUntil(t, now time.Time) string {
	if d := t.Sub(now); d > 0 {
		if d > time.Hour {
			d = d.Round(time.Minute) // what was to be 7 days a moment ago still is
		}
		return "in " + humanDuration(d)
	}
	if now.Sub(t) < 10*time.Second {
		return "now"
	}
	return humanDuration(now.Sub(t)) + " ago"
}

// shortDigests are digests in a line for people, with a word between them.
func shortDigests(ds []oci.Digest, between string) string {
	words := make([]string, len(ds))
	for i, d := range ds {
		words[i] = oci.ShortDigest(d)
	}
	return strings.Join(words, between)
}

// plural is "1 thing" or "n things".
func plural(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.FormatInt(n, 10) + " " + thing + "s"
}
