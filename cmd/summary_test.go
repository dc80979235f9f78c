package cmd

import (
	"strings"
	"testing"
	"time"
)

func TestTheClosingLine(t *testing.T) {
	a := account{moved: 32715571, reused: 4 << 20, requests: 7}
	for kind, want := range map[progressMode]string{
		"plain": "dist: moved 31.2 MiB, reused 4.0 MiB, 7 requests, 1.2 s\n",
		"bars":  "dist: moved 31.2 MiB, reused 4.0 MiB, 7 requests, 1.2 s\n",
		"json":  `{"version":1,"event":"summary","movedBytes":32715571,"reusedBytes":4194304,"requests":7,"seconds":1.25,"referrers":0}` + "\n",
		"none":  "",
	} {
		p, b, _ := testProgress(kind, 80, 24)
		p.summary(a, 1250*time.Millisecond)
		if b.String() != want {
			t.Errorf("%s: %q, want %q", kind, b.String(), want)
		}
	}
	p, b, _ := testProgress("plain", 80, 24)
	p.summary(account{requests: 1}, 0)
	if !strings.Contains(b.String(), " 1 request,") || strings.Contains(b.String(), "referrer") {
		t.Errorf("%q", b)
	}
	p, b, _ = testProgress("plain", 80, 24)
	p.summary(account{referrers: 2, requests: 3}, 0)
	if !strings.Contains(b.String(), " 2 referrers, 3 requests,") {
		t.Errorf("%q", b)
	}
}
