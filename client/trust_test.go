package client

import (
	"testing"
	"time"

	"dist.example/oci"
	"dist.example/sign"
)

func TestASignatureFromTheFutureIsNoClock(t *testing.T) {
	t.Parallel()
	s, err := sign.Generate(sign.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	name, err := oci.ParseReference("r.example/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	for ahead, believed := range map[time.Duration]bool{-time.Hour: false, time.Hour: true, 50 * 365 * 24 * time.Hour: false} {
		made := time.Now().Add(ahead).UTC()
		c := &sign.Candidate{Claim: sign.Claim{Serial: made.Unix(), Created: made}}
		v := sign.Verdict{Met: []sign.Met{{Met: true, Outcomes: []sign.Outcome{{Candidate: c, Key: s.Public()}}}}}
		marks := (&trial{name: name}).accepted(v)
		if len(marks) != 1 || marks[0].Serial != made.Unix() {
			t.Fatalf("the marks are %v, want one with the serial that was signed", marks)
		}
		if marks[0].At.Equal(made) != believed {
			t.Errorf("of a signature made %s from now the mark is of %s", ahead, marks[0].At)
		}
	}
}
