package registryserver

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"dist.example/oci"
)

// newSession makes an id that nobody can guess: a UUID, as distribution-spec wants,
// of version 4 (RFC 9562). What follows it ties it to the repository that it was
// made in.
func newSession(name string) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x-", b[:4], b[4:6], b[6:8], b[8:10], b[10:]) + repositoryMark(name)
}

func repositoryMark(name string) string {
	return oci.DigestBytes([]byte(name)).Encoded()[:8]
}

// uuidPattern is compiled by the first upload, as the grammar of names is.
var uuidPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
})

// ownsSession says whether id has the form of the sessions made in name.
func ownsSession(name, id string) bool {
	uuid, ok := strings.CutSuffix(id, "-"+repositoryMark(name))
	return ok && uuidPattern().MatchString(uuid)
}
