package registryserver

import (
	"fmt"
	"testing"
	"time"
)

func TestFreshSessionsAreBounded(t *testing.T) {
	var f freshSessions
	for i := range maxFresh {
		if !f.add(fmt.Sprint(i)) {
			t.Fatalf("no room for session %d", i)
		}
	}
	if f.add("one more") || f.has("one more") {
		t.Fatal("there is no end of them")
	}
	f.begun["0"] = time.Now().Add(-2 * freshFor)
	if !f.add("one more") || f.has("0") || !f.has("1") {
		t.Error("an old one keeps its place, or a new one has lost it")
	}
	if !f.drop("1") || f.drop("1") || f.has("1") {
		t.Error("a session does not end once")
	}
}
