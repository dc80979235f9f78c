package pages

import (
	"net/http"
	"slices"
	"time"

	"dist.example/oci"
)

const (
	// overviewReads bounds the manifests that are read for the sizes on one page.
	overviewReads = 400
	// maxHits is how many tags are shown of a repository that was found by them.
	maxHits = 5
)

// overview is the data of the first page.
type overview struct {
	Empty    bool // the store has nothing that this visitor may see
	Writable bool
	SignIn   bool // he may see more
	Hidden   bool // there may be what he may not see
	Host     string
	Flags    flags
	Query    string
	Groups   []group
	Window   window
	Partly   bool // not all manifests were searched
}

// group is the repositories of one host.
type group struct {
	Host string // "" where there is one group only
	Rows []overviewRow
}

type overviewRow struct {
	Path, Name string // the path it is served at, and what it is called
	Tags       int
	Size       int64
	More       bool // it is larger than Size
	Updated    time.Time
	Hits       []link
	MoreHits   int
}

// link is a tag or a digest of a repository, and what follows the repository's path
// in its address.
type link struct{ Text, Suffix string }

// overview shows the repositories, or those that were searched for.
func (s *site) overview(r *http.Request) (view, error) {
	repos, err := s.repositories(r)
	if err != nil {
		return view{}, err
	}
	at := s.reach(r)
	o := overview{Empty: len(repos) == 0, Writable: s.o.Writable, SignIn: s.mayStillSignIn(r), Hidden: s.o.Visit != nil, Host: at.host, Flags: at.flags()}
	q := parseQuery(r.URL.Query().Get("q"))
	o.Query = q.text
	found := finding{repos: repos}
	if len(q.words) > 0 {
		if found, err = s.search(r, q, repos); err != nil {
			return view{}, err
		}
	}
	o.Partly = found.partly
	start := s.after(found.repos, r.URL.Query().Get("after"))
	o.Window = paginate(r, len(found.repos), start, func(i int) string { return found.repos[i].ref.Name() })
	if o.Groups, err = s.groups(r, found, o.Window, severalHosts(repos)); err != nil {
		return view{}, err
	}
	title := "Repositories"
	if q.text != "" {
		title = "Search"
	}
	return view{template: "overview", title: title, query: q.text, data: o}, nil
}

// after is where the row after the repository called name is.
func (s *site) after(repos []*repository, name string) int {
	ref, err := oci.ParseRepository(name)
	if name == "" || err != nil {
		return 0
	}
	i, found := slices.BinarySearchFunc(repos, ref, func(repo *repository, ref oci.Reference) int {
		return compareRepositories(s.o.Prefix, repo.ref, ref)
	})
	if found {
		i++
	}
	return i
}

func severalHosts(repos []*repository) bool {
	return len(repos) > 0 && repos[0].ref.Registry != repos[len(repos)-1].ref.Registry
}

// groups are the rows of a page by host.
func (s *site) groups(r *http.Request, found finding, w window, named bool) ([]group, error) {
	var all []group
	reads := overviewReads
	for i, repo := range found.repos[w.From-1 : w.To] {
		row, err := s.overviewRow(r, repo, &reads)
		if err != nil {
			return nil, err
		}
		row.Hits = found.hits[repo]
		if row.MoreHits = len(row.Hits) - maxHits; row.MoreHits > 0 {
			row.Hits = row.Hits[:maxHits]
		}
		if host := repo.ref.Registry; i == 0 || all[len(all)-1].Host != host {
			all = append(all, group{Host: host})
		}
		last := &all[len(all)-1]
		last.Rows = append(last.Rows, row)
	}
	if !named {
		for i := range all {
			all[i].Host = ""
		}
	}
	return all, nil
}

// overviewRow weighs the newest names of repo, as far as reads go.
func (s *site) overviewRow(r *http.Request, repo *repository, reads *int) (overviewRow, error) {
	row := overviewRow{Path: repo.path, Name: repo.name(), Updated: repo.updated()}
	for _, e := range repo.entries {
		if e.tag != "" {
			row.Tags++
		}
	}
	w := s.scale(repo, *reads)
	for _, e := range repo.entries {
		if err := w.add(r.Context(), e.descriptor()); err != nil {
			return row, err
		}
		if w.more {
			break
		}
	}
	*reads = w.reads
	row.Size, row.More = w.total, w.more
	return row, nil
}

// name is what repo is called on a page: its path, or what it is called in the store
// where it has none.
func (r *repository) name() string {
	if r.path == "" {
		return r.ref.Name()
	}
	return r.path
}

// updated is when a name of r changed last.
func (r *repository) updated() time.Time {
	var t time.Time
	for _, e := range r.entries {
		if e.updated.After(t) {
			t = e.updated
		}
	}
	return t
}
