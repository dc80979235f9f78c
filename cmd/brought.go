package cmd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
)

// What people bring from other tools, and what does the same here, is told as the hint.

const (
	noContainers = "dist runs no containers: `dist unpack --bundle NAME DIR` makes what runc and crun start"
	noBuild      = "dist builds nothing from a Dockerfile: `dist pack` makes an image of folders, and of another image with --from"
	changesImage = "`dist pack --from IMAGE NAME` makes an image of another"
)

// broughtVerbs are verbs of other tools.
var broughtVerbs = map[string]string{
	"append":   changesImage,
	"blob":     "`dist fetch-object REPOSITORY DIGEST` prints one of a registry, `dist get DIGEST` one of the store",
	"build":    noBuild,
	"commit":   "`dist repack DIR NAME` makes an image of what has changed in an unpacked folder",
	"config":   "`dist inspect --platform OS/ARCH IMAGE` shows the configuration of an image",
	"create":   noContainers,
	"digest":   "`dist resolve` asks a registry for the digest of a name",
	"discover": "`dist tree` shows what is about an image",
	"exec":     noContainers,
	"flatten":  "`dist squash` makes one layer of those of an image",
	"history":  "`dist inspect IMAGE` shows its layers, `dist log NAME` what a name stood for",
	"load":     "`dist import FILE` brings in what docker save, podman save and others write",
	"logs":     noContainers,
	"manifest": "`dist fetch-object REPOSITORY TAG` prints one of a registry, `dist get NAME` one of the store",
	"mutate":   changesImage,
	"prune":    "`dist gc` gives back what nothing needs any more",
	"ps":       noContainers,
	"rm":       "`dist remove` drops names, and `dist gc` gives their room back",
	"rmi":      "`dist remove` drops names, and `dist gc` gives their room back",
	"run":      noContainers,
	"save":     "`dist export NAME -o FILE` writes a file that docker load takes, too",
	"start":    noContainers,
	"stop":     noContainers,
}

// broughtFlag is a flag of other tools, or of another verb.
type broughtFlag struct {
	hint string
	of   string // the one verb that it is told on, "" for all
	like string // the flag that a verb has to have for it, "" for none
}

// broughtFlags are those, by their words.
var broughtFlags = map[string]broughtFlag{
	"--all-tags":   {hint: "`dist sync 'REPOSITORY:*' --to REGISTRY` takes all tags of a repository"},
	"--arch":       {hint: "--platform OS/ARCH says that", like: "platform"},
	"--creds":      {hint: "`dist login REGISTRY` keeps a user and a password"},
	"--dry-run":    {hint: "--plan says what would be done", like: "plan"},
	"--json":       {hint: "--format json prints that"},
	"--password":   {hint: "--password-stdin reads it from stdin: on a command line everybody could see it", of: "login"},
	"--raw":        {hint: "`dist get` prints byte for byte what is in the store, and `dist fetch-object` what is in a registry"},
	"--tls-verify": {hint: "--insecure takes any certificate, and --plain-http speaks without TLS", like: "insecure"},
	"-p":           {hint: "--password-stdin reads it from stdin: on a command line everybody could see it", of: "login"},
}

// brought is the hint for the odd word, "" where nobody brings it.
func (t *typing) brought() string {
	word := t.odd.word
	if t.node == t.app && !strings.HasPrefix(word, "-") {
		return broughtVerbs[word]
	}
	f := broughtFlags[word]
	if f.of != "" && t.node.Name != f.of || f.like != "" && t.find(f.like) == nil {
		return ""
	}
	return f.hint
}

// pathFirst adds to err that a name has to come first, where what came is a path.
func pathFirst(err error, word string) error {
	if !errors.Is(err, content.ErrInvalid) || content.Hint(err) != "" {
		return err
	}
	path := word == "." || strings.HasPrefix(word, "./") || strings.HasPrefix(word, "../") || filepath.IsAbs(word)
	if !path {
		_, serr := os.Stat(word)
		path = serr == nil
	}
	if !path {
		return err
	}
	return content.WithHint(err, "the name comes first: dist pack NAME %s", word)
}

// hereInstead adds to err, about an image that no registry gave, that the store has one of
// that name.
func (s *session) hereInstead(err error, word, target string) error {
	ref, perr := oci.ParseReference(word)
	if err == nil || perr != nil || s.ctx.Err() != nil || !lacks(err, ref.Registry) {
		return err
	}
	if to, terr := oci.ParseReference(target); terr == nil && to.Registry == ref.Registry && !errors.Is(err, content.ErrNotFound) {
		return err // it may be the target that refuses
	}
	here := false
	s.glance(func(ctx context.Context, dist *client.Client) {
		_, lerr := dist.Lookup(ctx, ref.String())
		here = lerr == nil
	})
	if !here {
		return err
	}
	return content.WithHint(err, "the store has one: store:%s copies that, and `dist push` sends it", word)
}

// lacks says whether err is that of a registry which gave nothing. Docker Hub answers by
// another name.
func lacks(err error, registry string) bool {
	var remote *content.RemoteError
	if !errors.As(err, &remote) || remote.Registry != registry && !(registry == oci.DockerHub && strings.HasSuffix(remote.Registry, "."+oci.DockerHub)) {
		return errors.Is(err, content.ErrOffline)
	}
	return errors.Is(err, content.ErrNotFound) || errors.Is(err, content.ErrDenied) || errors.Is(err, content.ErrUnavailable)
}

// otherTags adds to err, about a reference that a registry does not have, how its tags are
// listed.
func otherTags(err error, word, registry string) error {
	var remote *content.RemoteError
	if !errors.Is(err, content.ErrNotFound) || !errors.As(err, &remote) || remote.Status != 404 || content.Hint(err) != "" {
		return err
	}
	ref, perr := oci.ParseReference(strings.TrimPrefix(word, client.TransportRegistry+"://"))
	if perr == nil && registry != "" {
		ref, perr = ref.WithRegistry(registry)
	}
	if perr != nil || ref.Digest != "" {
		return err
	}
	return content.WithHint(err, "`dist tags %s` lists those that are there", ref.Name())
}

// digestLike is a digest, or the beginning of one.
var digestLike = regexp.MustCompile(`^((sha256|sha512):[0-9a-f]{6,}|[0-9a-f]{12,})$`)

// notADigest adds to err, about names, that what was given is a digest.
func notADigest(err error, words []string) error {
	if err == nil || !errors.Is(err, content.ErrInvalid) && !errors.Is(err, content.ErrNotFound) {
		return err
	}
	for _, w := range words {
		if digestLike.MatchString(w) {
			return content.WithHint(err, "`dist remove` takes names (`dist images` lists them), and `dist delete` digests")
		}
	}
	return err
}
