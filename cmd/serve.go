package cmd

import (
	"log/slog"
	"net"
	"time"

	"dist.example/client"
)

// serveCmd is `dist serve`.
type serveCmd struct {
	Addr     string `default:"127.0.0.1:5000" placeholder:"HOST:PORT" help:"Where to listen (127.0.0.1:5000 by default). Port 0 picks a free one."`
	Writable bool   `help:"Accept pushes too."`
	Prefix   string `default:"docker.io" placeholder:"HOST" help:"Host of the names that are served without one (docker.io by default)."`
	Keep     span   `default:"7d" placeholder:"TIME" help:"How long what was pushed is kept while it has no name: 12h, 7d."`
	Log      bool   `help:"Write a line for each request to stderr."`
}

// Help is the longer text of `dist serve --help`.
func (serveCmd) Help() string {
	return `The address is printed on stdout once the server answers; Ctrl-C ends it. It speaks plain HTTP and asks nobody who they are, so it listens on this machine alone unless told otherwise.

An image named docker.io/demo/go:v1 is served as demo/go:v1, one named quay.io/a/b:1 as quay.io/a/b:1. A repository has what its names reach and what was pushed to it; nothing else of the store can be had there, even by its digest. What was pushed and has no name is kept for a week, or for --keep.

Examples:

    $ dist serve
    $ dist serve --addr 0.0.0.0:5000 --writable --log`
}

type serveJSON struct {
	URL     string `json:"url"`
	Address string `json:"address"`
}

// Run serves until it is interrupted.
func (c *serveCmd) Run(s *session) error {
	if c.Keep == 0 {
		return usagef("--keep 0: what is not kept at all cannot be pushed in pieces")
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	o := client.ServeOptions{Addr: c.Addr, Writable: c.Writable, Prefix: c.Prefix, Keep: time.Duration(c.Keep)}
	if c.Log {
		o.Log = slog.New(slog.NewTextHandler(s.stderr, nil))
	}
	var printed error
	o.Ready = func(addr net.Addr) {
		url := "http://" + addr.String()
		printed = s.object(serveJSON{url, addr.String()}, line(url))
	}
	if err := dist.Serve(s.ctx, o); err != nil {
		return about(c.Addr, err)
	}
	return printed
}
