package cmd

import (
	"path/filepath"

	"dist.example/client"
)

// initCmd is `dist init`.
type initCmd struct{}

type initJSON struct {
	Path string `json:"path"`
}

// Help is the longer text of `dist init --help`.
func (initCmd) Help() string {
	return `A store in .content is used by every verb that runs in this folder. A store that is there already is left as it is. Verbs that write make the default store by themselves.

Examples:

    $ dist init                      # ./.content
    $ dist init --store /srv/images`
}

// Run makes the store and prints where it is.
func (initCmd) Run(s *session) error {
	dir := s.globals.Store
	if dir == "" {
		dir = localStore
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	c := client.New(client.Options{Store: dir, Warn: s.warn, Hook: s.hook})
	s.closers = append(s.closers, c.Close)
	if _, err := c.Init(s.ctx); err != nil {
		return about(dir, err)
	}
	return s.object(initJSON{dir}, line(dir))
}
