package access

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"runtime"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const (
	// rememberFor is how long a verified password is not hashed again after its last use.
	rememberFor = 5 * time.Minute
	// passwordWait is how long a request waits for its turn to hash, and maxWaiting
	// how many do.
	passwordWait = 5 * time.Second
	maxWaiting   = 256
)

// users are the users of one state of the password file, and who of them has shown
// his password lately. It is safe for concurrent use.
type users struct {
	hashes map[string][]byte
	names  []string // sorted

	mu       sync.Mutex
	verified map[string]verified
}

// verified is a password that was right: its code, which is no use without the key.
type verified struct {
	code  []byte
	until time.Time
}

func parseUsers(data []byte) (*users, error) {
	hashes, err := parseHtpasswd(data)
	if err != nil {
		return nil, err
	}
	return &users{hashes: hashes, names: sortedUsers(hashes), verified: map[string]verified{}}, nil
}

// recall says whether that password is remembered, and remembers it for longer: who
// goes on using it is not kept out by others who try passwords meanwhile.
func (u *users) recall(user string, code []byte, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	v, ok := u.verified[user]
	if !ok || !now.Before(v.until) || !hmac.Equal(v.code, code) {
		return false
	}
	u.verified[user] = verified{code, now.Add(rememberFor)}
	return true
}

// remember keeps one password for each user: they are no more than the file has.
func (u *users) remember(user string, code []byte, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.verified[user] = verified{code, now.Add(rememberFor)}
}

// checker checks passwords, a few at a time. It is safe for concurrent use.
type checker struct {
	key     []byte // of the codes of passwords
	now     func() time.Time
	turns   chan struct{} // of as many elements as may hash at once
	waiting chan struct{} // of as many as may hash or wait
	wait    time.Duration
}

func newChecker(key []byte, now func() time.Time) *checker {
	// Half of the processors: the others go on serving.
	return &checker{
		key: key, now: now, wait: passwordWait,
		turns:   make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		waiting: make(chan struct{}, maxWaiting),
	}
}

// check verifies a password. Errors: ErrCredentials, ErrBusy, ctx's.
func (c *checker) check(ctx context.Context, u *users, user, password string) error {
	code := c.code("password", user, password)
	if u.recall(user, code, c.now()) {
		return nil
	}
	done, err := c.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	if u.recall(user, code, c.now()) {
		return nil // by a request that was sent beside this one
	}
	hash, known := u.hashes[user]
	if !known {
		hash = c.decoy(u, user)
	}
	if hash == nil || bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil || !known {
		return ErrCredentials
	}
	u.remember(user, code, c.now())
	return nil
}

// turn waits until a password may be hashed.
func (c *checker) turn(ctx context.Context) (done func(), err error) {
	select {
	case c.waiting <- struct{}{}:
	default:
		return nil, ErrBusy
	}
	limit := time.NewTimer(c.wait)
	defer limit.Stop()
	select {
	case c.turns <- struct{}{}:
		return func() { <-c.turns; <-c.waiting }, nil
	case <-limit.C:
		err = ErrBusy
	case <-ctx.Done():
		err = ctx.Err()
	}
	<-c.waiting
	return nil, err
}

// decoy is the hash that the password of a user who does not exist is compared
// with, nil when there are no users at all. It is somebody's, and for one name always
// the same: so it takes the time that the users of this file take.
func (c *checker) decoy(u *users, user string) []byte {
	if len(u.names) == 0 {
		return nil
	}
	n := binary.BigEndian.Uint64(c.code("decoy", user))
	return u.hashes[u.names[n%uint64(len(u.names))]]
}

// code is the code of some words under the checker's key.
func (c *checker) code(words ...string) []byte {
	mac := hmac.New(sha256.New, c.key)
	for _, w := range words {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(w)))
		mac.Write(size[:])
		mac.Write([]byte(w))
	}
	return mac.Sum(nil)
}
