package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"dist.example/content"
)

// userLine is a line of a password file.
func userLine(t testing.TB, user, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return user + ":" + string(hash) + "\n"
}

func TestHtpasswd(t *testing.T) {
	hash := strings.TrimSuffix(strings.TrimPrefix(userLine(t, "x", "pw"), "x:"), "\n")
	as := func(version string) string { return version + hash[len("$2a$"):] }
	hashes, err := parseHtpasswd([]byte("# users\n\nann:" + as("$2a$") + "\r\nben:" + as("$2y$") + "\nc d:" + as("$2b$")))
	if err != nil || len(hashes) != 3 {
		t.Fatalf("%d users, %v", len(hashes), err)
	}
	for user, h := range hashes {
		if err := bcrypt.CompareHashAndPassword(h, []byte("pw")); err != nil {
			t.Errorf("%s: %v", user, err)
		}
	}
	for name, bad := range map[string]string{
		"no colon":        "ann",
		"no user":         ":" + hash,
		"clear text":      "ann:s3cr3t",
		"MD5":             "ann:$apr1$s3cr3t$" + strings.Repeat("a", 22),
		"SHA":             "ann:{SHA}s3cr3tW6ph5Mm5Pz8GgiULbPgzG37mj9g=",
		"another version": "ann:" + as("$2x$"),
		"too short":       "ann:" + hash[:59],
		"too long":        "ann:" + hash + "s",
		"a third field":   "ann:" + hash + ":s3cr3t",
		"a blank behind":  "ann:" + hash + " ",
		"too cheap":       "ann:" + strings.Replace(hash, "$04$", "$03$", 1),
		"too dear":        "ann:" + strings.Replace(hash, "$04$", "$17$", 1),
		"a control":       "a\x01n:" + hash,
		"twice":           "s3cr3t:" + hash + "\ns3cr3t:" + hash,
	} {
		_, err := parseHtpasswd([]byte("# first\n" + bad))
		if !errors.Is(err, content.ErrInvalid) || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), hash[10:]) {
			t.Errorf("%s: the error repeats the line: %v", name, err)
		}
	}
}

// clock is a time that tests move.
type clock struct{ at time.Time }

func newClock() *clock                { return &clock{time.Now()} }
func (c *clock) now() time.Time       { return c.at }
func (c *clock) pass(d time.Duration) { c.at = c.at.Add(d) }

func someUsers(t *testing.T, lines ...string) *users {
	t.Helper()
	u, err := parseUsers([]byte(strings.Join(lines, "")))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestAPasswordIsRememberedForAWhile(t *testing.T) {
	at := newClock()
	c := newChecker([]byte("key"), at.now)
	u := someUsers(t, userLine(t, "ann", "right"))
	if err := c.check(t.Context(), u, "ann", "right"); err != nil {
		t.Fatal(err)
	}
	// With no turn to be had, only what is remembered gets through.
	c.wait = 0
	for range cap(c.turns) {
		c.turns <- struct{}{}
	}
	for range 3 { // each use counts
		at.pass(rememberFor - time.Second)
		if err := c.check(t.Context(), u, "ann", "right"); err != nil {
			t.Errorf("remembered: %v", err)
		}
	}
	at.pass(rememberFor - time.Second)
	if err := c.check(t.Context(), u, "ann", "wrong"); !errors.Is(err, ErrBusy) {
		t.Errorf("another password: %v", err)
	}
	at.pass(time.Second)
	if err := c.check(t.Context(), u, "ann", "right"); !errors.Is(err, ErrBusy) {
		t.Errorf("after five minutes: %v", err)
	}
}

func TestWaitingIsBounded(t *testing.T) {
	c := newChecker([]byte("key"), time.Now)
	u := someUsers(t, userLine(t, "ann", "right"))
	for range cap(c.waiting) {
		c.waiting <- struct{}{}
	}
	if err := c.check(t.Context(), u, "ann", "right"); !errors.Is(err, ErrBusy) {
		t.Errorf("with a full queue: %v", err)
	}
	<-c.waiting
	for range cap(c.turns) {
		c.turns <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.check(ctx, u, "ann", "right"); !errors.Is(err, context.Canceled) {
		t.Errorf("who has gone: %v", err)
	}
	<-c.turns
	if err := c.check(t.Context(), u, "ann", "right"); err != nil {
		t.Errorf("with a turn and a place: %v", err)
	}
}

// Whoever asks for users that do not exist must not see that by the time it takes.
func TestUnknownUsersAreHashedForToo(t *testing.T) {
	c := newChecker([]byte("key"), time.Now)
	u := someUsers(t, userLine(t, "ann", "right"), userLine(t, "ben", "other"))
	seen := map[string]bool{}
	for i := range 64 {
		hash := c.decoy(u, fmt.Sprint("nobody", i))
		if string(hash) != string(c.decoy(u, fmt.Sprint("nobody", i))) {
			t.Error("the same name is compared with another hash the second time")
		}
		seen[string(hash)] = true
	}
	if len(seen) != 2 {
		t.Errorf("%d of 2 hashes are used", len(seen))
	}
	for _, password := range []string{"right", "other"} {
		for i := range 8 {
			if err := c.check(t.Context(), u, fmt.Sprint("nobody", i), password); !errors.Is(err, ErrCredentials) {
				t.Errorf("somebody's password for nobody: %v", err)
			}
		}
	}
	if err := c.check(t.Context(), someUsers(t), "ann", "right"); !errors.Is(err, ErrCredentials) {
		t.Errorf("with no users at all: %v", err)
	}
}
