package registryclient

import (
	"fmt"
	"net/http"
	"strings"
)

const (
	// maxWarnings is how much of its warnings a registry gets heard in one answer
	// (distribution-spec, Warnings: 4096 bytes).
	maxWarnings = 4096
	// maxWarned ends what one Client passes on, from all registries.
	maxWarned = 100
)

// heed passes on what host warns of in an answer, each text once.
func (c *Client) heed(host string, h http.Header) {
	for _, text := range warnings(h.Values("Warning")) {
		msg := fmt.Sprintf("%s says: %s", host, text)
		c.mu.Lock()
		fresh := !c.warned[msg] && len(c.warned) < maxWarned
		if fresh {
			c.warned[msg] = true
		}
		c.mu.Unlock()
		if fresh {
			c.opts.Warn(msg)
		}
	}
}

// warnings reads Warning headers of the one form that the distribution-spec
// knows, 299 - "text", a header each. All others are passed over, and so is what
// goes past maxWarnings.
func warnings(headers []string) (texts []string) {
	left := maxWarnings
	for _, h := range headers {
		quoted, ok := strings.CutPrefix(strings.TrimSpace(h), `299 - "`)
		if !ok || len(h) > left {
			continue
		}
		if text, ok := unquote(quoted); ok && text != "" {
			texts = append(texts, text)
			left -= len(h)
		}
	}
	return texts
}

// unquote reads a quoted-string (RFC 9110, 5.6.4) from behind its first quote to
// its end, where s has to end too. The text is for a terminal.
func unquote(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return printable(b.String(), maxWarnings), i == len(s)-1
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}
