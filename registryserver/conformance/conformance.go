// Package conformance is the suite that a registry of distribution-spec 1.1.1
// passes: one subtest for each of its promises, named group/check. It asks by HTTP
// alone and so holds for any store below the server, and for any other registry.
//
// docs/CONFORMANCE.md lists the clauses of the specification with the checks that
// hold them, and a test compares it with Names.
//
// Every check works in a repository of its own, with content of its own, so that
// none depends on what another has left behind. Beyond what it asks for, each
// answer is held to what is true of all answers: see tester.do.
package conformance

import (
	"net/http"
	"testing"
)

// Registry is what is tested: the same content behind two addresses, each a URL
// without a slash at its end.
type Registry struct {
	URL      string // where everything is allowed
	ReadOnly string // where nothing can be pushed or deleted
}

// check is one promise.
type check struct {
	name string
	run  func(*tester)
}

// group is one workflow of the specification.
type group struct {
	name   string
	checks []check
}

func groups() []group {
	return []group{
		{"pull", pullChecks()},
		{"blobs", blobChecks()},
		{"push", pushChecks()},
		{"manifests", manifestChecks()},
		{"content", contentChecks()},
		{"chunked", chunkedChecks()},
		{"mount", mountChecks()},
		{"tags", tagChecks()},
		{"referrers", referrerChecks()},
		{"delete", deleteChecks()},
		{"errors", errorChecks()},
		{"draft", draftChecks()},
	}
}

// Run tests r, with a subtest for each group and below it for each check.
func Run(t *testing.T, r Registry) {
	// A transport of its own: tests beside this one may close the idle connections
	// of http.DefaultTransport, as every httptest.Server does.
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment}
	defer transport.CloseIdleConnections()
	for _, g := range groups() {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.checks {
				t.Run(c.name, func(t *testing.T) {
					c.run(&tester{T: t, registry: r, transport: transport, repo: "conformance/" + g.name + "/" + c.name})
				})
			}
		})
	}
}

// Names lists the checks as group/check, in the order in which they run.
func Names() []string {
	var all []string
	for _, g := range groups() {
		for _, c := range g.checks {
			all = append(all, g.name+"/"+c.name)
		}
	}
	return all
}
