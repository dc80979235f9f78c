package registryserver

import (
	"net/http"
	"slices"

	"dist.example/oci"
	"dist.example/registryserver/access"
)

// listCatalog answers with a page of the paths of the repositories that have names
// and that the visitor may pull, in order of their bytes. It is not of
// distribution-spec; it is as distribution has it.
func (s *server) listCatalog(w http.ResponseWriter, r *http.Request, _ route) error {
	n, err := pageSize(r.URL.Query())
	if err != nil {
		return err
	}
	paths, err := s.paths(r)
	if err != nil {
		return err
	}
	return writeJSON(w, oci.MediaTypeJSON, map[string][]string{"repositories": page(w, r, "/v2/_catalog", paths, n)})
}

// paths are those that the visitor may pull from, in order and each once. A token for
// the catalog has no scope for any repository, nor needs one. All names of the store
// are gone through, which takes turns: a hundred thousand have 30 MiB.
func (s *server) paths(r *http.Request) ([]string, error) {
	leave, err := s.lists.take(r.Context())
	if err != nil {
		return nil, err
	}
	defer leave()
	var (
		paths  []string
		before string // names come in order: those of a repository together
	)
	visitor := visitorOf(r)
	for n, err := range s.lib.Names(r.Context(), "") {
		if err != nil {
			return nil, err
		}
		repo := oci.Reference{Registry: n.Reference.Registry, Repository: n.Reference.Repository}
		if repo.Name() == before || !oci.HasSuccessors(n.Target.MediaType) {
			continue
		}
		before = repo.Name()
		if path := PathOf(repo, s.o.Prefix); path != "" && visitor.Entitled(access.Pull, repo) {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}
