package cmd

import (
	"cmp"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/alecthomas/kong"

	"dist.example/client"
	"dist.example/oci"
	"dist.example/registryclient"
)

// jobs is a number of things done at once; 0 leaves it to the library.
type jobs int

// UnmarshalText takes 1 to 256; empty is the default.
func (j *jobs) UnmarshalText(text []byte) error {
	*j = 0
	if len(text) == 0 {
		return nil
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || n > 256 {
		return usagef("%q is no number from 1 to 256", text)
	}
	*j = jobs(n)
	return nil
}

type jobsFlag struct {
	Jobs jobs `short:"j" placeholder:"N" env:"DIST_JOBS" help:"Blobs moved at once (4 by default)."`
}

// span is a length of time that may be given in days.
type span time.Duration

// UnmarshalText takes 30m, 12h, 7d and the like.
func (s *span) UnmarshalText(text []byte) error {
	d, ok := client.ParseSpan(string(text))
	if !ok {
		return usagef("%q is no time such as 30m, 12h or 7d", text)
	}
	*s = span(d)
	return nil
}

// networkFlags are for verbs that talk to registries.
type networkFlags struct {
	AuthFile  string   `group:"network" type:"path" placeholder:"FILE" help:"Credentials to try before those of Docker and Podman (config.json, auth.json)."`
	TokenHost []string `group:"network" sep:"none" placeholder:"HOST" complete:"host" help:"Token server of another domain that credentials may be sent to, when a registry names it. ${repeat}"`
	PlainHTTP bool     `group:"network" help:"Speak HTTP without TLS. Registries on this machine (localhost, 127.0.0.1) need no flag."`
	Insecure  bool     `group:"network" help:"Accept any TLS certificate: whoever sits in between can answer. Content is still checked against its digest."`
	Offline   toggle   `group:"network" env:"DIST_OFFLINE" help:"Do not use the network: refuse, before anything is sent (exit 12)."`
	limitFlags
}

// toggle is a flag without a value that an environment variable can set, too:
// kong's own takes "yes" for an answer.
type toggle bool

// Decode takes true, 1, false and 0; empty is false, and so is a flag that is not
// there.
func (t *toggle) Decode(ctx *kong.DecodeContext) error {
	*t = true
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		return nil
	}
	word, _ := ctx.Scan.Pop().Value.(string)
	switch word {
	case "true", "1":
	case "", "false", "0":
		*t = false
	default:
		return usagef("%q is none of true, 1, false or 0", word)
	}
	return nil
}

// IsBool says that the flag needs no value.
func (*toggle) IsBool() bool { return true }

func (f networkFlags) options(warn func(string)) registryclient.Options {
	return registryclient.Options{
		AuthFile: f.AuthFile, TokenHosts: f.TokenHost, PlainHTTP: f.PlainHTTP, Insecure: f.Insecure,
		Offline:   bool(f.Offline),
		UserAgent: "dist/" + release(), Warn: warn,
	}
}

// registryFlag sends a name elsewhere.
type registryFlag struct {
	Registry string `short:"r" placeholder:"HOST" complete:"host" help:"Registry to use in place of the name's own, for example localhost:5000."`
}

// referrersFlag is for verbs that bring along what is about an image.
type referrersFlag struct {
	NoReferrers bool `help:"Leave behind what is about the images: signatures, SBOMs and the like."`
}

// evictFlag is for verbs that bring images into the store.
type evictFlag struct {
	Evict bool `help:"Make room where it is lacking: collect garbage, and if that is not enough, let names go that are not pinned, the one first that was not used for longest."`
}

// lookFlags are for verbs that ask a registry what is about an image that is here.
type lookFlags struct {
	referrersFlag
	Referrers  string `placeholder:"WHEN" enum:"due,refresh" default:"due" help:"When to ask what is about an image that is here already: due (after a while, see --revalidate) or refresh (now)."`
	Revalidate span   `placeholder:"TIME" default:"24h" help:"How long the last answer to that is good, for example 12h or 7d (${default} by default)."`
}

// choice is what was asked for.
func (f lookFlags) choice() client.Referrers {
	switch {
	case f.NoReferrers:
		return client.ReferrersNone
	case f.Referrers == "refresh":
		return client.ReferrersRefresh
	}
	return client.ReferrersGo
}

// age is the library's: 0 there is its default.
func (f lookFlags) age() time.Duration {
	if f.Revalidate == 0 {
		return -1
	}
	return time.Duration(f.Revalidate)
}

// platformFlags choose from images for several platforms.
type platformFlags struct {
	Platform     platform `placeholder:"OS/ARCH" env:"DIST_PLATFORM" help:"Platform to take from an index, for example linux/arm64. The default is this machine's, of Linux on a Mac."`
	AllPlatforms bool     `help:"Take every platform."`
}

// platform is os/arch or os/arch/variant; the zero value is none.
type platform struct{ *oci.Platform }

// UnmarshalText takes what oci.ParsePlatform takes; empty is none.
func (p *platform) UnmarshalText(text []byte) error {
	p.Platform = nil
	if len(text) == 0 {
		return nil
	}
	parsed, err := oci.ParsePlatform(string(text))
	if err == nil {
		p.Platform = &parsed
	}
	return err
}

// digest is a digest; the zero value is none.
type digest oci.Digest

// UnmarshalText takes what oci.ParseDigest takes; empty is none.
func (d *digest) UnmarshalText(text []byte) error {
	*d = ""
	if len(text) == 0 {
		return nil
	}
	parsed, err := oci.ParseDigest(string(text))
	*d = digest(parsed)
	return err
}

// choice is what was asked for. --all-platforms beats a platform that comes from
// the environment, so the two may meet.
func (f platformFlags) choice() client.Platforms {
	return client.Platforms{All: f.AllPlatforms, Only: f.Platform.Platform}
}

// client gives the verbs as a library, for the store that the flags lead to.
// Nothing is opened before it is needed, and the session closes it.
func (s *session) client(network networkFlags, n jobs) (*client.Client, error) {
	if file := network.AuthFile; file != "" {
		if fi, err := os.Stat(file); err != nil || fi.IsDir() {
			return nil, usagef("--auth-file %s: there is no such file", file)
		}
	}
	return s.clientFor(network, n)
}

// clientFor is client for verbs that make the auth file if it is not there.
func (s *session) clientFor(network networkFlags, n jobs) (*client.Client, error) {
	dir, err := storeFolder(s.globals.Store, s.getenv)
	if err != nil {
		return nil, err
	}
	c := client.New(client.Options{
		Store: dir, Registry: network.options(s.warn), Limits: network.limits(), Jobs: int(n),
		Observe: s.progress.observe, Warn: s.warn, Hook: s.hook, FreeBytes: s.freeBytes, Epoch: s.epoch, Trust: s.trust(),
	})
	s.closers = append(s.closers, c.Close)
	return c, nil
}

// policyFlag is for verbs that a policy speaks on.
type policyFlag struct {
	Policy string `placeholder:"FILE" complete:"file" help:"Policy that says whose signatures count (containers-policy.json). Without it DIST_POLICY counts, else dist/policy.json in the user's configuration folder; with none everything is accepted."`
}

// under lets the policy of a verb's flag count. One that may be there and cannot be
// found is told of: nobody is asked for signatures then.
func (s *session) under(f policyFlag) {
	s.policy = f.Policy
	if t := s.trust(); t.Policy == "" && t.DefaultPolicy == "" {
		s.warn("no policy is looked for, since neither HOME nor XDG_CONFIG_HOME says where; --policy or DIST_POLICY name one")
	}
}

// trust says whose signatures count, and where keys are.
func (s *session) trust() client.TrustOptions {
	t := client.TrustOptions{Policy: cmp.Or(s.policy, s.getenv("DIST_POLICY")), Creator: "dist/" + release()}
	if config := configFolder(s.getenv); config != "" {
		t.DefaultPolicy, t.Keys = filepath.Join(config, "dist", "policy.json"), filepath.Join(config, "dist", "keys")
	}
	return t
}

// local is client for verbs that stay on this machine, but to heal what is damaged.
func (s *session) local() (*client.Client, error) { return s.client(s.ambient(), 0) }

// ambient is what the environment says of the network, for verbs without flags for it.
// What cannot be read there keeps them from it.
func (s *session) ambient() (n networkFlags) {
	switch s.getenv("DIST_OFFLINE") {
	case "", "0", "false":
	default:
		n.Offline = true
	}
	if rate := s.getenv("DIST_LIMIT_RATE"); rate != "" && n.LimitRate.UnmarshalText([]byte(rate)) != nil {
		n.Offline = true
	}
	return n
}
