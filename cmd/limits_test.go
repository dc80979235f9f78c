package cmd

import (
	"errors"
	"strings"
	"testing"
	"time"

	"dist.example/content"
)

func TestRates(t *testing.T) {
	for text, want := range map[string]int64{
		"": 0, "0": 0, "2048": 2048, "10M": 10 << 20, "500K": 500 << 10, "1.5MiB/s": 3 << 19,
		"2GiB": 2 << 30, "0.5K": 512, "10MB": 10 << 20, "10GB/s": 10 << 30, "1/s": 1, "1000000G": 1_000_000 << 30,
	} {
		var r byteRate
		if err := r.UnmarshalText([]byte(text)); err != nil || int64(r) != want {
			t.Errorf("%q: %d, %v, want %d", text, r, err, want)
		}
	}
	for _, text := range []string{"fast", "-1", "+1", "1e3", "10MBB", "10BM", "10B", "10m", "M", ".", "1..2", "NaN", "Inf", "0x10", "10 M", "10M/m", "0.1", "2000000000G", "iB", "1iB"} {
		var r byteRate
		if err := r.UnmarshalText([]byte(text)); !errors.Is(err, content.ErrInvalid) || r != 0 {
			t.Errorf("%q: %d, %v, want a mistake", text, r, err)
		}
	}
}

func TestFrequencies(t *testing.T) {
	for text, want := range map[string]frequency{"": {}, "5/s": {5, time.Second}, "90/m": {90, time.Minute}} {
		var f frequency
		if err := f.UnmarshalText([]byte(text)); err != nil || f != want {
			t.Errorf("%q: %v, %v", text, f, err)
		}
	}
	for _, text := range []string{"5", "5/h", "0/s", "-1/s", "1.5/s", "/s", "5/s/s", "99999999999/s"} {
		var f frequency
		if err := f.UnmarshalText([]byte(text)); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%q: %v, %v, want a mistake", text, f, err)
		}
	}
}

func FuzzLimits(f *testing.F) {
	for _, s := range []string{"10M", "1.5MiB/s", "5/s", "90/m", "1e9", "/", "0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var r byteRate
		if err := r.UnmarshalText([]byte(s)); r < 0 || r > 1<<50 || (err != nil && r != 0) {
			t.Errorf("%q is %d, %v", s, r, err)
		}
		var q frequency
		if err := q.UnmarshalText([]byte(s)); err == nil && s != "" && (q.N < 1 || q.Per > time.Minute || !strings.Contains(s, "/")) {
			t.Errorf("%q is %v", s, q)
		}
	})
}
