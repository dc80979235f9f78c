package access

import (
	"slices"
	"strings"
)

const (
	// maxScopes bounds the scopes of a token, which travels in a header.
	maxScopes = 64
	// Catalog is the scope for listing repositories.
	Catalog = "registry:catalog:*"
)

// Scope is what a token is asked for: actions on a repository, by the path that its
// client knows it by. Actions are those of this package; "*" in a scope is all of
// them.
type Scope struct {
	Path    string
	Actions []Action
}

// String is the scope as challenges and requests have it.
func (s Scope) String() string {
	words := make([]string, len(s.Actions))
	for i, a := range s.Actions {
		words[i] = string(a)
	}
	return "repository:" + s.Path + ":" + strings.Join(words, ",")
}

// asking is the scopes of a token request.
type asking struct {
	repositories []Scope
	catalog      bool
}

// parseScopes reads scope parameters, each of which may have several scopes. What
// no one here knows, or does not parse, asks for nothing: a token server grants what
// it can. False when there are too many.
func parseScopes(params []string) (asking, bool) {
	var asked asking
	for _, param := range params {
		for word := range strings.FieldsSeq(param) {
			if word == Catalog {
				asked.catalog = true
			} else if s, ok := parseScope(word); ok {
				asked.repositories = append(asked.repositories, s)
			}
			if len(asked.repositories) > maxScopes {
				return asking{}, false
			}
		}
	}
	return asked, true
}

// parseScope reads repository:PATH:ACTION,ACTION. A path has no colons.
func parseScope(word string) (Scope, bool) {
	rest, ok := strings.CutPrefix(word, "repository:")
	path, list, more := strings.Cut(rest, ":")
	if !ok || !more || path == "" {
		return Scope{}, false
	}
	var found []Action
	for one := range strings.SplitSeq(list, ",") {
		if one == "*" {
			found = actions
			break
		}
		if a := Action(one); slices.Contains(actions, a) && !slices.Contains(found, a) {
			found = append(found, a)
		}
	}
	return Scope{path, found}, len(found) > 0
}
