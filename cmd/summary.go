package cmd

import (
	"encoding/json"
	"fmt"
	"time"

	"dist.example/oci"
)

// account is what a network verb did.
type account struct {
	moved, reused, requests, referrers int64
}

// summaryJSON is the closing line with --progress json.
type summaryJSON struct {
	Version  int     `json:"version"`
	Event    string  `json:"event"`
	Moved    int64   `json:"movedBytes"`
	Reused   int64   `json:"reusedBytes"`
	Requests int64   `json:"requests"`
	Seconds  float64 `json:"seconds"`
	// Manifests about others that are at the target now.
	Referrers int64 `json:"referrers"`
}

// summary prints the line that every network verb ends with.
func (p *progress) summary(a account, took time.Duration) {
	p.stop()
	switch p.kind {
	case "none":
	case "json":
		// A struct of strings and numbers always marshals.
		line, _ := json.Marshal(summaryJSON{jsonVersion, "summary", a.moved, a.reused, a.requests, took.Seconds(), a.referrers})
		fmt.Fprintf(p.w, "%s\n", line)
	default:
		about := ""
		if a.referrers > 0 {
			about = plural(a.referrers, "referrer") + ", "
		}
		fmt.Fprintf(p.w, "dist: moved %s, reused %s, %s%s, %s\n",
			oci.HumanSize(a.moved), oci.HumanSize(a.reused), about, plural(a.requests, "request"), humanDuration(took))
	}
}

// closing prints the last line of a verb that has nothing else to say.
func (p *progress) closing(text string) {
	p.stop()
	if p.kind == "bars" || p.kind == "plain" {
		fmt.Fprintf(p.w, "dist: %s\n", text)
	}
}
