package client

import (
	"errors"
	"strings"
	"testing"
	"time"

	"dist.example/content"
)

func TestCutMoment(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("here", 2*3600)
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, zone)
	for word, want := range map[string]struct {
		name string
		back int
		at   string // in UTC, "" for none
	}{
		"a@{0}":                           {"a", 0, ""},
		"a:v1@{12}":                       {"a:v1", 12, ""},
		"localhost:5000/a@{2h}":           {"localhost:5000/a", 0, "2026-03-04T08:00:00Z"},
		"a@{2h30m}":                       {"a", 0, "2026-03-04T07:30:00Z"},
		"a@{3d}":                          {"a", 0, "2026-03-01T10:00:00Z"},
		"a@{0s}":                          {"a", 0, "2026-03-04T10:00:00Z"},
		"a@{2026-01-31}":                  {"a", 0, "2026-01-30T22:00:00Z"},
		"a@{2026-01-31 15:04}":            {"a", 0, "2026-01-31T13:04:00Z"},
		"a@{2026-01-31 15:04:05}":         {"a", 0, "2026-01-31T13:04:05Z"},
		"a@{2026-01-31T15:04:05Z}":        {"a", 0, "2026-01-31T15:04:05Z"},
		"a@{2026-01-31T15:04:05.5-03:00}": {"a", 0, "2026-01-31T18:04:05.5Z"},
		"a@sha256:" + strings.Repeat("0", 64) + "@{1}": {"a@sha256:" + strings.Repeat("0", 64), 1, ""},
	} {
		name, m, err := cutMoment(word, now)
		if err != nil || name != want.name || m.back != want.back {
			t.Errorf("%s: %q, %+v, %v", word, name, m, err)
			continue
		}
		if got := m.at.UTC().Format(time.RFC3339Nano); got != want.at && !(m.at.IsZero() && want.at == "") {
			t.Errorf("%s is at %s, want %s", word, got, want.at)
		}
	}
	for _, word := range []string{"a", "a:v1", "a@b", "a{1}", ""} {
		if name, m, err := cutMoment(word, now); name != word || m != nil || err != nil {
			t.Errorf("%q: %q, %+v, %v", word, name, m, err)
		}
	}
	for _, word := range []string{
		"@{1}", "a@{", "a@{}", "a@{1", "a@{1}x", "a@{1}@{1}", "a@{-1}", "a@{+1}", "a@{1.5}", "a@{99999999999}", "a@{-2h}", "a@{+2h}",
		"a@{36501d}", "a@{-1d}", "a@{d}", "a@{h}", "a@{.5h}", "a@{1y}", "a@{yesterday}", "a@{2026-02-30}", "a@{2026-1-1}", "a@{2026-01-31T15:04}", "a@{ 1}",
	} {
		name, m, err := cutMoment(word, now)
		if !errors.Is(err, content.ErrInvalid) || content.Hint(err) == "" {
			t.Errorf("%q: %q, %+v, %v", word, name, m, err)
		}
	}
}

func FuzzCutMoment(f *testing.F) {
	for _, s := range []string{"a@{1}", "a:v1@{2h}", "a@{3d}", "a@{2026-01-31 15:04}", "a@{2026-01-31T15:04:05+01:00}", "a", "@{", "a@{}}", "a@{9999999999d}"} {
		f.Add(s)
	}
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, word string) {
		name, m, err := cutMoment(word, now)
		switch {
		case err != nil:
			if !errors.Is(err, content.ErrInvalid) || !strings.Contains(word, momentMark) {
				t.Fatalf("%q: %v", word, err)
			}
		case m == nil:
			if name != word || strings.Contains(word, momentMark) {
				t.Fatalf("%q has no moment, and is %q", word, name)
			}
		default:
			if name == "" || !strings.HasPrefix(word, name+momentMark) || !strings.HasSuffix(word, "}") || m.back < 0 || m.back > 0 && !m.at.IsZero() {
				t.Fatalf("%q is %q at %+v", word, name, m)
			}
		}
	})
}
