package access

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"

	"dist.example/content"
)

const (
	maxUser = 255
	// maxCost keeps a hash from taking the server for minutes: each step doubles the
	// time, and this one takes seconds.
	maxCost = 16
)

// hashPattern is compiled by the first server with users.
var hashPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}$`)
})

// parseHtpasswd reads lines USER:HASH into bcrypt's hashes by user. Errors:
// ErrInvalid, with the line's number and nothing of what is in it.
func parseHtpasswd(data []byte) (map[string][]byte, error) {
	hashes, n := map[string][]byte{}, 0
	for line := range bytes.Lines(data) {
		n++
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		user, hash, _ := strings.Cut(text, ":")
		why := flaw(user, hash)
		if _, twice := hashes[user]; twice {
			why = "the user has a line already"
		}
		if why != "" {
			return nil, fmt.Errorf("%w: line %d: %s", content.ErrInvalid, n, why)
		}
		hashes[user] = []byte(hash)
	}
	return hashes, nil
}

// flaw says what is wrong with a line, "" for nothing.
func flaw(user, hash string) string {
	if !validUser(user) {
		return "want USER:HASH, the user without control characters"
	}
	found := hashPattern().FindStringSubmatch(hash)
	if found == nil {
		return `not a hash of bcrypt ($2a$, $2b$ or $2y$), as "htpasswd -B" writes it`
	}
	// Two digits: always a number.
	if cost, _ := strconv.Atoi(found[1]); cost < bcrypt.MinCost || cost > maxCost {
		return fmt.Sprintf("the hash has a cost of %d, which may be %d to %d", cost, bcrypt.MinCost, maxCost)
	}
	return ""
}

// validUser says whether s can be a user's name: what Basic authorization and a
// line of the file can carry.
func validUser(s string) bool {
	return s != "" && len(s) <= maxUser && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == ':'
	})
}

// sortedUsers are the users in an order that does not depend on the file's.
func sortedUsers(hashes map[string][]byte) []string {
	users := make([]string, 0, len(hashes))
	for user := range hashes {
		users = append(users, user)
	}
	slices.Sort(users)
	return users
}
