package db

import (
	"slices"
	"testing"
	"time"
)

// The log tells transactions apart, also those of one millisecond.
func TestChangesOfOneTransactionHaveATimeOfTheirOwn(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	d := openDB(t, t.TempDir(), Options{Clock: func() time.Time { return now }})
	move := func(names ...string) {
		t.Helper()
		check(t, d.Write(t.Context(), func(tx *Tx) error {
			if _, err := tx.PutObjects([]Present{{Digest: digest(1), Size: 1, Loc: LocLoose}}); err != nil {
				return err
			}
			for _, name := range names {
				if _, err := tx.SetRef(RefChange{Name: name, New: digest(1), Why: "tag"}); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	move("a.io/a:1", "a.io/a:2")
	move("a.io/a:3")
	move("a.io/a:4", "a.io/a:5")
	now = now.Add(-time.Hour) // a clock that was set back
	move("a.io/a:6")
	var after []int64
	read(t, d, func(tx *Tx) error {
		for e, err := range tx.Log("") {
			check(t, err)
			after = append(after, e.At.UnixMilli()-1_700_000_000_000)
		}
		r, _, err := tx.Ref("a.io/a:3")
		if r.Updated.UnixMilli() != 1_700_000_000_001 {
			t.Errorf("the name says %s, its change another time", r.Updated)
		}
		return err
	})
	if want := []int64{-3_600_000, 0, 0, 1, 0, 0}; !slices.Equal(after, want) {
		t.Errorf("times are %v, want %v", after, want)
	}
}

func TestLogBelowGoesOnWhereAPageEnded(t *testing.T) {
	g := newGraph(t)
	g.held(1, 2)
	for i, name := range []string{"a.io/a:1", "a.io/b:1", "a.io/a:1", "a.io/b:1", "a.io/a:1"} {
		g.name(name, 1+i/2%2)
	}
	for _, c := range []struct {
		name  string
		below int64
		want  []int64
	}{{"", 4, []int64{3, 2, 1}}, {"", 1, nil}, {"a.io/a:1", 5, []int64{3, 1}}, {"a.io/c:1", 5, nil}} {
		var seqs []int64
		read(t, g.d, func(tx *Tx) error {
			for e, err := range tx.LogBelow(c.name, c.below) {
				check(t, err)
				seqs = append(seqs, e.Seq)
			}
			return nil
		})
		if !slices.Equal(seqs, c.want) {
			t.Errorf("%q below %d: %v, want %v", c.name, c.below, seqs, c.want)
		}
	}
}
