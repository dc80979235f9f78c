package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/registryclient"
)

// loginCmd is `dist login`.
type loginCmd struct {
	User          string `short:"u" placeholder:"USER" complete:"none" help:"User name. Without it, it is asked for on the terminal."`
	PasswordStdin bool   `help:"Read the password or access token from stdin. Without it, it is asked for on the terminal and not shown."`
	networkFlags
	Scope string `arg:"" name:"registry" complete:"host" help:"Registry, for example quay.io or localhost:5000, or a path of one: quay.io/team."`
}

// Help is the longer text of `dist login --help`.
func (loginCmd) Help() string {
	return `The user name and the password are shown to the registry first, and kept only if it takes them: in the file that --auth-file or REGISTRY_AUTH_FILE names; else in the first of containers' auth.json and Docker's config.json that has something for the registry already, or is there; else in a new auth.json. Where that file names a credential helper, the helper keeps them. What is kept for a path goes before what is kept for its registry.

There is no flag for the password: every user of a machine can read the arguments of a program.

Examples:

    $ dist login quay.io
    $ dist login -u ann --password-stdin registry.example <token.txt
    $ dist login --auth-file ci.json -u robot --password-stdin quay.io/team <token.txt

An identity token (a refresh token of OAuth2) goes by a user name of its own:

    $ dist login -u '<token>' --password-stdin registry.example <identity.txt`
}

type loginJSON struct {
	Registry string `json:"registry"`
	User     string `json:"user"`
	Checked  bool   `json:"checked"`
	keptJSON
}

// keptJSON is where credentials are, or were.
type keptJSON struct {
	Key    string `json:"key"`
	File   string `json:"file"`
	Helper string `json:"helper"`
}

func keptAs(k registryclient.Kept) keptJSON { return keptJSON{k.Key, k.File, k.Helper} }

// Run asks for what was not given, logs in, and prints where the credentials are
// kept.
func (c *loginCmd) Run(s *session) error {
	dist, err := s.clientFor(c.networkFlags, 0)
	if err != nil {
		return err
	}
	user, password, err := c.credential(s)
	if err != nil {
		return about(c.Scope, err)
	}
	start := time.Now()
	got, err := dist.Login(s.ctx, c.Scope, user, password)
	if err != nil {
		return about(c.Scope, err)
	}
	if !got.Checked {
		s.warn(fmt.Sprintf("%s lets everybody in: whether the password is right could not be checked", printable(c.Scope)))
	}
	where := got.File
	if got.Helper != "" {
		where = fmt.Sprintf("credential helper %s, as %s says", got.Helper, got.File)
	}
	result := loginJSON{c.Scope, user, got.Checked, keptAs(got.Kept)}
	if err := s.object(result, line(fmt.Sprintf("%s: kept in %s", c.Scope, where))); err != nil {
		return err
	}
	s.asked(dist, start, false)
	return nil
}

// credential is what was given, and what a person at the terminal adds to it.
func (c *loginCmd) credential(s *session) (user, password string, err error) {
	t := newTerminal(s.terminal, s.stderr)
	switch {
	case c.PasswordStdin && c.User == "":
		return "", "", content.WithHint(usagef("--password-stdin: there is no user name"), "name one with -u USER")
	case c.PasswordStdin:
		password, err = readPassword(s.stdin)
		return c.User, password, err
	case t == nil:
		return "", "", content.WithHint(usagef("there is no terminal to ask for the password on"), "give it on stdin: -u USER --password-stdin")
	}
	return t.credential(s.ctx, c.Scope, c.User)
}

// credential asks for the password, and for the user name if that is "".
func (t *terminal) credential(ctx context.Context, scope, user string) (_, password string, err error) {
	if user == "" {
		if user, err = t.ask(ctx, fmt.Sprintf("User name for %s: ", printable(scope))); err != nil {
			return "", "", err
		}
		user = strings.TrimSpace(user)
	}
	if user == "" {
		return "", "", usagef("there is no user name")
	}
	if password, err = t.askSecret(ctx, fmt.Sprintf("Password of %s: ", printable(user))); err == nil && password == "" {
		err = usagef("the password is empty")
	}
	return user, password, err
}

// readPassword reads all of r, but for the line's end that follows it.
func readPassword(r io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxAnswer+3))
	if err != nil {
		return "", err
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case password == "":
		return "", usagef("--password-stdin: there is nothing on stdin")
	case len(password) > maxAnswer:
		return "", usagef("--password-stdin: more than %d bytes", maxAnswer)
	}
	return password, nil
}

// logoutCmd is `dist logout`.
type logoutCmd struct {
	quietFlag `set:"ids=registries"`
	AuthFile  string `group:"network" type:"existingfile" placeholder:"FILE" complete:"file" help:"Look into this file alone."`
	Scope     string `arg:"" name:"registry" complete:"host" help:"Registry, or a path of one, as it was given to login."`
}

// Help is the longer text of `dist logout --help`.
func (logoutCmd) Help() string {
	return `The credentials go from every file that other verbs would find them in, and from the credential helpers that these name. The registry is not asked: a token that it gave out stays good there.

Examples:

    $ dist logout quay.io
    $ dist logout --auth-file ci.json quay.io/team`
}

// Run forgets the credentials, and prints where they were.
func (c *logoutCmd) Run(s *session) error {
	dist, err := s.clientFor(networkFlags{AuthFile: c.AuthFile}, 0)
	if err != nil {
		return err
	}
	gone, err := dist.Logout(s.ctx, c.Scope)
	if len(gone) > 0 || err == nil {
		err = errors.Join(err, printList(s.stdout, s.format(), c.Quiet, listing[registryclient.Kept]{
			key:     "forgotten",
			columns: columns("REGISTRY", "FILE", "HELPER"),
			row:     func(k registryclient.Kept) []string { return []string{k.Key, k.File, k.Helper} },
			id:      func(k registryclient.Kept) string { return printable(k.Key) },
			object:  func(k registryclient.Kept) any { return keptAs(k) },
		}, each(gone)))
	}
	return about(c.Scope, err)
}
