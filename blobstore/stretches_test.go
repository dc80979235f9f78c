package blobstore

import (
	"slices"
	"testing"
)

func TestStretchesAreJoinedAndFound(t *testing.T) {
	t.Parallel()
	var s stretches
	for _, p := range [][2]int64{{40, 50}, {50, 60}, {10, 20}, {15, 18}, {20, 30}} {
		s.add(p[0], p[1])
	}
	if want := (stretches{{40, 60}, {10, 20}, {15, 18}, {20, 30}}); !slices.Equal(s, want) {
		t.Errorf("added: %v", s)
	}
	s = s.ordered()
	if want := (stretches{{10, 30}, {40, 60}}); !slices.Equal(s, want) {
		t.Errorf("in order: %v", s)
	}
	for off, want := range map[int64]int{0: 2, 10: 2, 29: 2, 30: 1, 59: 1, 60: 0} {
		if got := s.behind(off); len(got) != want {
			t.Errorf("behind %d: %v", off, got)
		}
	}
	for _, c := range []struct {
		from, to int64
		want     bool
	}{{0, 10, false}, {0, 11, true}, {30, 40, false}, {29, 30, true}, {59, 90, true}, {60, 90, false}} {
		if s.meets(c.from, c.to) != c.want {
			t.Errorf("%d to %d: %v", c.from, c.to, !c.want)
		}
	}
}
