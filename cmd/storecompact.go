package cmd

import (
	"fmt"
	"io"

	"dist.example/oci"
)

// storeCompactCmd is `dist store compact`.
type storeCompactCmd struct{}

// Help is the longer text of `dist store compact --help`.
func (storeCompactCmd) Help() string {
	return `Garbage is collected as by "dist gc --compact": what nothing holds goes, and packs with dead bytes are written anew. Then the catalog is written anew without free pages, where these are 5 % of it or more, and its log is emptied. That needs room for twice the catalog on the disk of the store: where there is less, the catalog stays as it is (exit 9). Others that write wait meanwhile, about a second for each 100 MB; those that read do not.

Examples:

    $ dist store compact
    $ dist store compact --format json | jq .givenBackBytes`
}

type compactJSON struct {
	Catalog   int64 `json:"catalogBytes"`
	Before    int64 `json:"catalogBytesBefore"`
	Packs     int64 `json:"packs"`
	GivenBack int64 `json:"givenBackBytes"`
}

// Run compacts and tells what was given back.
func (c *storeCompactCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	s.progress.start()
	r, err := dist.CompactStore(s.ctx)
	s.progress.stop()
	s.keptPacks(r.Collected)
	if err != nil {
		return err
	}
	j := compactJSON{Catalog: r.Catalog.After, Before: r.Catalog.Before, Packs: r.Collected.Packs.Objects, GivenBack: r.GivenBack()}
	return s.object(j, j.print)
}

func (j compactJSON) print(w io.Writer) error {
	return printFields(w, [][2]string{
		{"catalog", fmt.Sprintf("%s, before %s", oci.HumanSize(j.Catalog), oci.HumanSize(j.Before))},
		{"packs", fmt.Sprintf("%d gone", j.Packs)},
		{"given back", oci.HumanSize(j.GivenBack)},
	})
}
