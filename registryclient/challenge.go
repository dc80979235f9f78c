package registryclient

import "strings"

// challenge is one scheme that a WWW-Authenticate header offers.
type challenge struct {
	scheme string // lower case
	params map[string]string
}

// parseChallenges reads WWW-Authenticate headers (RFC 9110, 11.6.1). A header
// may hold several challenges, separated by the same commas that separate their
// parameters. What does not parse ends the reading of that header: what was
// understood before it counts.
func parseChallenges(headers []string) []challenge {
	var all []challenge
	for _, h := range headers {
		all = append(all, parseHeader(h)...)
	}
	return all
}

func parseHeader(s string) []challenge {
	var all []challenge
	for len(all) < 16 {
		s = strings.TrimLeft(s, " \t,")
		word, rest := token(s)
		if word == "" {
			return all
		}
		params, after, ok := parseParams(rest)
		all = append(all, challenge{scheme: strings.ToLower(word), params: params})
		if !ok {
			return all
		}
		s = after
	}
	return all
}

// parseParams reads name=value pairs up to the next challenge. ok is false when
// the rest of the header makes no sense.
func parseParams(s string) (params map[string]string, rest string, ok bool) {
	params = map[string]string{}
	for {
		s = strings.TrimLeft(s, " \t,")
		name, after := token(s)
		if name == "" {
			return params, "", s == ""
		}
		after = strings.TrimLeft(after, " \t")
		if !strings.HasPrefix(after, "=") {
			return params, s, true // the next challenge's scheme
		}
		value, after, ok := paramValue(strings.TrimLeft(after[1:], " \t"))
		if !ok {
			return params, "", false
		}
		if name = strings.ToLower(name); params[name] == "" {
			params[name] = value
		}
		s = after
	}
}

// paramValue reads a token or a quoted string.
func paramValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		value, rest = token(s)
		return value, rest, value != ""
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// token cuts a token of RFC 9110, 5.6.2 off the front of s.
func token(s string) (tok, rest string) {
	i := 0
	for i < len(s) && isTokenChar(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

func isTokenChar(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
