package cmd

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNamesOnStdin(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		null     bool
		want     []string
	}{
		{"lines", "a\nb c\n\nd", false, []string{"a", "b c", "d"}},
		{"NUL", "a\x00b\nc\x00\x00", true, []string{"a", "b\nc"}},
		{"nothing", "", false, nil},
		{"carriage returns belong to a name", "a\r\n", false, []string{"a\r"}},
	} {
		var got []string
		for name, err := range namesFrom(strings.NewReader(tc.in), tc.null) {
			if err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
			got = append(got, name)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestAListThatIsNoListIsRefused(t *testing.T) {
	for _, err := range namesFrom(strings.NewReader(strings.Repeat("x", 1<<20)), false) {
		if classify(err).exit != exitUsage {
			t.Errorf("%v, want a usage error", err)
		}
		return
	}
	t.Error("a name of 1 MiB was passed over in silence")
}

func TestSpansAndJobs(t *testing.T) {
	for text, want := range map[string]time.Duration{"7d": 168 * time.Hour, "90m": 90 * time.Minute, "0d": 0} {
		var s span
		if err := s.UnmarshalText([]byte(text)); err != nil || time.Duration(s) != want {
			t.Errorf("%q: %v, %v, want %v", text, time.Duration(s), err, want)
		}
	}
	for _, text := range []string{"", "d", "-1d", "3weeks", "99999999d", "-5m"} {
		var s span
		if err := s.UnmarshalText([]byte(text)); classify(err).exit != exitUsage {
			t.Errorf("%q: %v, want a usage error", text, err)
		}
	}
	for _, text := range []string{"0", "257", "-1", "many"} {
		var j jobs
		if err := j.UnmarshalText([]byte(text)); classify(err).exit != exitUsage {
			t.Errorf("jobs %q: %v, want a usage error", text, err)
		}
	}
}

// DIST_PLATFORM counts where one platform is taken from an index in any case. Where all of
// an index is meant it would make less of it, unasked.
func TestThePlatformOfTheEnvironmentCountsWhereOneIsTaken(t *testing.T) {
	for _, f := range flagsByName(t)["platform"] {
		one := strings.Contains(f.Help, "latform to take from an index")
		if named := slices.Contains(f.Envs, "DIST_PLATFORM"); named != one {
			t.Errorf("DIST_PLATFORM counts: %t, and the flag says %q", named, f.Help)
		}
	}
}
