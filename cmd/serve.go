package cmd

import (
	"net"
	"time"

	"dist.example/client"
	"dist.example/content"
)

// serveCmd is `dist serve`.
type serveCmd struct {
	policyFlag
	Place string `arg:"" optional:"" name:"file" complete:"file" help:"An OCI layout (a folder), or an archive (a tar) as skopeo, docker save and dist copy write them, to be served in place of the store."`
	networkFlags
	Addr     string `default:"127.0.0.1:5000" placeholder:"HOST:PORT" complete:"none" help:"Where to listen (${default} by default). Port 0 picks a free one; unix:PATH is a socket in the file system."`
	Writable bool   `help:"Accept pushes too."`
	Prefix   string `default:"docker.io" placeholder:"HOST" complete:"host" help:"Host of the names that are served without one (docker.io by default)."`
	Keep     span   `default:"7d" placeholder:"TIME" help:"How long what was pushed is kept while it has no name: 12h, 30d (${default} by default)."`
	accessFlags
	runFlags
	Mirror     []string `sep:"none" placeholder:"HOST[=URL]" complete:"host" help:"Stand for the registry HOST too: what is asked for below it is fetched once, from there or from URL, and kept. ${repeat}"`
	Revalidate span     `default:"5m" placeholder:"TIME" help:"With --mirror: how long a tag is not asked for again (5m by default)."`
	Verify     bool     `help:"Read and hash all of FILE before serving it."`
	NoPage     bool     `help:"Show no pages to browsers."`
}

// Help is the longer text of `dist serve --help`.
func (serveCmd) Help() string {
	return `The address is printed on stdout once the server answers; Ctrl-C ends it. It asks nobody who they are, so it listens on this machine alone unless told otherwise. With --tls-cert and --tls-key it speaks HTTPS, HTTP/2 included; new files are taken up by the next connection, without a restart.

With --htpasswd it asks: FILE has a line for each user as "htpasswd -B" writes it (bcrypt; no other hash is taken). Users log in with their password or, as docker and all the others do, with tokens that the server gives them for it. They may pull, push and delete everything, and others nothing, or with --anonymous pull pull everything. With --access they may do what FILE says: JSON with rules that give pull, push and delete on repositories to users and groups.

    {"groups": {"ci": ["bot"]}, "rules": [
      {"users": ["alice"], "groups": ["ci"], "repositories": ["team/**"], "actions": ["pull", "push"]},
      {"everyone": true, "repositories": ["library/*"], "actions": ["pull"]},
      {"anonymous": true, "repositories": ["public/**"], "actions": ["pull"]}]}

Repositories are called as they are served, or by their full names (docker.io/team/app): a * is anything within one component, ** any number of components. "everyone" is every user, "anonymous" everybody; those without a password come in only with --anonymous pull. Both files are read again when they change.

An image named docker.io/demo/go:v1 is served as demo/go:v1, one named quay.io/a/b:1 as quay.io/a/b:1, and one named localhost:5000/a:1 as localhost_5000/a:1, since a port cannot stand in a path. A repository has what its names reach and what was pushed to it; nothing else of the store can be had there, even by its digest. What was pushed and has no name is kept for a week, or for --keep.

Manifests and packed content are verified before they are sent. What is damaged is marked, and answered for like what is not here (404): a blob that is pushed again is right again, and "dist repair" fetches it. A blob in a file of its own is sent if the file has its size, and not hashed; clients hash what they get, and "dist check" or any other command that reads it finds the damage. The server itself asks no other registry for it.

A FILE is read where it is: nothing is unpacked, copied or written. All its images are served under their names, referrers too. One that has a tag alone is below localhost/ and the name of the file without .tar: v1 in app.tar is localhost/app:v1. One without any name is there by its digest. A layout may grow while it is served; an archive must stay as it is, else requests fail until it is served again. Manifests are verified whenever they are read, other blobs only by --verify: exit 4 when something is damaged. Compressed archives are refused.

Ctrl-C or SIGTERM lets requests under way finish for the time of --drain; what is cut off then, clients resume. A second one ends it at once. GET /healthz answers 200 while the store does, and /metrics tells Prometheus what is going on.

A line of the log has the request's id, method, path, repository, status, bytes received and sent, time, address, user and agent, and of what went wrong here the reason, which the client is not told. A body or an answer that does not move for a minute ends the request.

With --mirror the server is a cache of other registries: what is asked for and not here is passed on while it comes in, verified and kept, however many ask at once. An image that was pulled whole is in the store like any other, and is served when the registry is down. A tag is asked for again after --revalidate; when there is no answer, what is here is served, with a warning; when it is gone there, it is gone here. Credentials are those of this machine ("dist login"), so that whoever may pull here gets what they give; those of clients are not sent on. Nothing can be pushed to a repository of HOST; with --writable to others, such as those of another --prefix.

HOST is asked at its own address, or at URL with ?ns=HOST, as containerd asks mirrors: another "dist serve" there gives what its store calls HOST/NAME, which is what pushes to it are called with --prefix HOST. The hosts.toml of this machine does not count for HOST, so that nobody is led to himself.

Where the quota or the disk has no room for what is asked for, names of HOST go, the one first that was not used for longest, as by "pull --evict": not pinned ones, and none of other registries. What there is no room for nevertheless, such as what is larger than the quota, is passed on and not kept.

containerd takes it for a mirror by /etc/containerd/certs.d/docker.io/hosts.toml, and dist by ~/.config/dist/certs.d/docker.io/hosts.toml:

    server = "https://registry-1.docker.io"
    [host."http://127.0.0.1:5000"]
      capabilities = ["pull", "resolve"]

and docker, for Docker Hub alone, by /etc/docker/daemon.json:

    { "registry-mirrors": ["http://127.0.0.1:5000"] }

A browser sees at that address which repositories and tags there are, what is in them and how to pull it. The pages have no script, and ask no other host for anything. With --htpasswd everybody sees there what he may pull, and can sign in.

Examples:

    $ dist serve
    $ dist serve app.tar
    $ dist serve --addr 0.0.0.0:5000 --writable --log
    $ dist serve --addr 0.0.0.0:443 --tls-cert fullchain.pem --tls-key privkey.pem
    $ dist serve --writable --htpasswd users --access rules.json --anonymous pull
    $ dist serve --writable --max-blob 20G --log=json --log-file access.log
    $ dist serve --mirror docker.io --mirror quay.io=https://cache.example.com/quay`
}

type serveJSON struct {
	URL     string `json:"url"`
	Address string `json:"address"`
}

// Run serves until it is interrupted.
func (c *serveCmd) Run(s *session) error {
	s.under(c.policyFlag)
	if err := c.checkPlace(); err != nil {
		return err
	}
	if c.Keep == 0 {
		return usagef("--keep 0: what is not kept at all cannot be pushed in pieces")
	}
	dist, err := s.client(c.networkFlags, 0)
	if err != nil {
		return err
	}
	o := client.ServeOptions{
		Addr: c.Addr, Writable: c.Writable, Prefix: c.Prefix, Keep: time.Duration(c.Keep),
		Access: c.accessFlags.options(), Mirror: c.Mirror, Revalidate: time.Duration(c.Revalidate),
		Place: c.Place, Verify: c.Verify, NoPage: c.NoPage,
	}
	if err := c.fill(&o); err != nil {
		return err
	}
	if o.Log, err = c.logger(s); err != nil {
		return err
	}
	if c.Verify {
		s.progress.start()
	}
	var printed error
	o.Ready = func(addr net.Addr) {
		s.progress.stop()
		url := c.url(addr)
		printed = s.object(serveJSON{url, addr.String()}, line(url))
	}
	if err := dist.Serve(s.ctx, o); err != nil {
		return about(c.Addr, err)
	}
	return printed
}

// checkPlace refuses what makes no sense with a place, or without one.
func (c *serveCmd) checkPlace() error {
	switch {
	case c.Place != "" && (c.Writable || len(c.Mirror) > 0):
		return usagef("FILE is served as it is: leave out --writable and --mirror")
	case c.Place == "" && c.Verify:
		return content.WithHint(usagef("--verify is for a FILE"), "dist check reads all of the store")
	}
	return nil
}
