package cmd

import (
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// What the pages of docs/cli and those for man have in common: the walk over the model
// that parses the arguments.

// entry is one row of a page: an argument, a flag, a variable, an exit code.
type entry struct {
	name  string
	envs  []string // variables that stand for it
	about string
}

func argumentEntries(n *kong.Node) (entries []entry) {
	for _, p := range n.Positional {
		entries = append(entries, entry{name: p.Summary(), about: p.Help})
	}
	return entries
}

// flagEntries are flags as they are typed, but for hidden ones.
func flagEntries(flags []*kong.Flag) (entries []entry) {
	for _, f := range flags {
		if f.Hidden {
			continue
		}
		name := "--" + f.Name
		if !f.IsBool() && !f.IsCounter() {
			name += "=" + f.FormatPlaceHolder()
		}
		if f.Short != 0 {
			name = "-" + string(f.Short) + ", " + name
		}
		entries = append(entries, entry{name, f.Envs, f.Help})
	}
	return entries
}

// verbGroup is one heading of the help, and what stands below it.
type verbGroup struct {
	title string
	verbs []*kong.Node
}

func groupedVerbs(app *kong.Application) (all []verbGroup) {
	for _, group := range groups() {
		g := verbGroup{title: strings.TrimSuffix(group.Title, ":")}
		for _, n := range app.Leaves(true) {
			if closest := n.ClosestGroup(); closest != nil && closest.Key == group.Key {
				g.verbs = append(g.verbs, n)
			}
		}
		if len(g.verbs) > 0 {
			all = append(all, g)
		}
	}
	return all
}

// paragraph is one of a longer text; code is kept as it is, line by line.
type paragraph struct {
	code bool
	text string
}

const indented = "    "

// paragraphs reads a longer text, in which code is indented. What stands behind the line
// "Examples:" are examples.
func paragraphs(text string) (prose, examples []paragraph) {
	to := &prose
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		switch {
		case block == "":
		case block == "Examples:" || block == "Example:":
			to = &examples
		case strings.HasPrefix(block, indented):
			code := strings.ReplaceAll(strings.TrimPrefix(block, indented), "\n"+indented, "\n")
			*to = append(*to, paragraph{true, code})
		default:
			*to = append(*to, paragraph{false, strings.ReplaceAll(block, "\n", " ")})
		}
	}
	return prose, examples
}

// mention is a verb that a text speaks of.
var mention = regexp.MustCompile(`\bdist ([a-z][a-z-]*)`)

// mentioned are the verbs that a text speaks of, but for one, in the order of the help.
func mentioned(text, but string) (names []string) {
	said := map[string]bool{}
	for _, m := range mention.FindAllStringSubmatch(text, -1) {
		said[m[1]] = true
	}
	for _, v := range verbs() {
		if said[v.name] && v.name != but {
			names = append(names, v.name)
		}
	}
	return names
}

// variables are those of the environment that flags stand for, by the model, and those
// that do not.
func variables(app *kong.Application) (entries []entry) {
	named := map[string]int{}
	add := func(flags []*kong.Flag) {
		for _, f := range flags {
			for _, env := range f.Envs {
				if i, ok := named[env]; !ok {
					named[env] = len(entries)
					entries = append(entries, entry{name: env, about: "Stands for --" + f.Name + "."})
				} else if about := "Stands for --" + f.Name + "."; entries[i].about != about {
					entries[i].about = strings.TrimSuffix(entries[i].about, ".") + ", --" + f.Name + "."
				}
			}
		}
	}
	add(app.Flags)
	for _, n := range app.Leaves(true) {
		add(n.Flags)
	}
	for i, e := range entries {
		if e.name == "DIST_PLATFORM" {
			entries[i].about = "Stands for --platform of verbs that take one platform of an index in any case, not of those that take all of it without; and of pack."
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return append(entries, otherVariables()...)
}

// otherVariables are those that no flag declares.
func otherVariables() []entry {
	return []entry{
		{name: "DIST_POLICY", about: "Stands for --policy: the policy that says whose signatures count."},
		{name: "DIST_PASSWORD, COSIGN_PASSWORD", about: "Passphrase of the key that signs, the first of them that is set."},
		{name: "XDG_DATA_HOME", about: "Where the store is, in dist, if nothing else says so; ~/.local/share without it."},
		{name: "XDG_CONFIG_HOME", about: "Where keys and the policy are (dist), mirrors (dist/certs.d), registries.conf, auth.json and certificates (containers); ~/.config without it."},
		{name: "XDG_STATE_HOME", about: "Where limits are kept together that hold without a store; ~/.local/state without it."},
		{name: "XDG_RUNTIME_DIR", about: "Where containers/auth.json is looked for."},
		{name: "REGISTRY_AUTH_FILE", about: "File with credentials, before all but --auth-file."},
		{name: "DOCKER_CONFIG", about: "Folder of Docker's config.json; ~/.docker without it."},
		{name: "CONTAINERS_REGISTRIES_CONF", about: "The registries.conf that is read in place of the user's and the system's."},
		{name: "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY", about: "Proxies, in capitals or small letters; ALL_PROXY stands for both, socks5:// works."},
		{name: "SSL_CERT_FILE, SSL_CERT_DIR", about: "The system's certificate authorities, where they are not in the usual place."},
		{name: "SOURCE_DATE_EPOCH", about: "Seconds since 1970: times in what is packed, squashed, attached and written into archives, and the date of manual pages."},
		{name: "NO_COLOR, CLICOLOR_FORCE", about: "Colour on stderr: none, or always."},
	}
}
