package cmd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
)

// completed is a type of values that says itself what may be typed, as the tag complete
// does for the field of a struct.
type completed interface{ completes() string }

func (*platform) completes() string     { return "platform" }
func (*digest) completes() string       { return "digest" }
func (*ifDigest) completes() string     { return "words:absent|digest" }
func (*outputFormat) completes() string { return "words:table,json,jsonl," + templatePrefix }
func (*progressMode) completes() string { return "words:auto,plain,json,none" }
func (*colorMode) completes() string    { return "words:auto,always,never" }
func (*logKind) completes() string      { return "words:text,json" }
func (*toggle) completes() string       { return "words:true,false" }
func (*identityRule) completes() string {
	return "words:matchRepoDigestOrExact,matchExact,matchRepository,exactReference=,exactRepository=,remapIdentity=,unbound"
}

// completes is what may be typed for a flag or an argument: kinds with bars between,
// "none" for what nobody can know. It is what its tag says, else its type, else its
// enumeration; "" is for numbers, times and the like, which have no words.
func completes(v *kong.Value) string {
	if tag := v.Tag.Get("complete"); tag != "" {
		return tag
	}
	if v.Enum != "" {
		return "words:" + v.Enum
	}
	if v.Tag.Type == "path" || v.Tag.Type == "existingfile" {
		return "file"
	}
	if c, ok := reflect.New(v.Target.Type()).Interface().(completed); ok {
		return c.completes()
	}
	return ""
}

// wordsOf are those that a kind of the form words:a,b lists.
func wordsOf(kind string) (words []string, ok bool) {
	list, ok := strings.CutPrefix(kind, "words:")
	return slices.DeleteFunc(strings.Split(list, ","), func(w string) bool { return w == "" }), ok
}

// finders are the kinds that are looked for, most of them in the store.
var finders = map[string]func(*finding) error{
	"name":       (*finding).names,
	"full":       (*finding).fullNames,
	"repository": (*finding).repositories,
	"digest":     (*finding).digests,
	"id":         func(f *finding) error { return errors.Join(f.names(), f.shortDigests()) },
	"locator":    func(f *finding) error { f.transports(); return f.names() },
	"bundle":     func(f *finding) error { f.fileOf(client.TransportBundle + ":"); return nil },
	"host":       (*finding).hosts,
	"platform":   (*finding).platforms,
	"key":        (*finding).keys,
	"site":       (*finding).sites,
	"lease":      (*finding).leases,
	"ingest":     (*finding).ingests,
	"type":       (*finding).types,
	"setting":    (*finding).settings,
	"verb":       (*finding).verbs,
	"topic":      (*finding).topics,
	"file":       func(f *finding) error { f.shell = shellFiles; return nil },
	"dir":        func(f *finding) error { f.shell = shellDirs; return nil },
	"none":       func(*finding) error { return nil },
}

// finding is the search for what one word may become.
type finding struct {
	*typing
	answer
	ctx  context.Context
	dist *client.Client
}

// values finds what a flag or an argument may be. What cannot be found is left out.
func (t *typing) values(ctx context.Context, v *kong.Value) answer {
	dist, err := t.client()
	if err != nil {
		return answer{}
	}
	defer dist.Close()
	f := &finding{typing: t, ctx: ctx, dist: dist}
	for kind := range strings.SplitSeq(completes(v), "|") {
		if words, ok := wordsOf(kind); ok {
			for _, w := range words {
				f.add(w, "")
			}
		} else if find := finders[kind]; find != nil {
			_ = find(f)
		}
	}
	return f.answer
}

func (f *finding) add(value, about string) {
	if strings.HasPrefix(value, f.word) {
		f.list = append(f.list, candidate{value, about})
	}
}

// maxLooked bounds the names that are looked at for one word.
const maxLooked = 100_000

// gathering collects what begins with a word, or, where that is too much, how it may go
// on up to the next slash, colon or @.
type gathering struct {
	word   string
	all    []candidate
	steps  map[string]bool
	looked int
}

// take notes a value; it says whether there is room for more.
func (g *gathering) take(value, about string) bool {
	if g.looked++; g.looked > maxLooked {
		return false
	}
	rest, ok := strings.CutPrefix(value, g.word)
	if !ok {
		return true
	}
	if len(g.all) <= maxCandidates {
		g.all = append(g.all, candidate{value, about})
	}
	if i := strings.IndexAny(rest, "/:@"); i >= 0 {
		rest = rest[:i+1]
	}
	if len(g.steps) <= maxCandidates {
		g.steps[g.word+rest] = true
	}
	return true
}

// list is what was collected; nothing where there was no end of it.
func (g *gathering) list() (list []candidate) {
	switch {
	case g.looked > maxLooked:
		return nil
	case len(g.all) <= maxCandidates:
		return g.all
	}
	for _, step := range slices.Sorted(maps.Keys(g.steps)) {
		list = append(list, candidate{value: step})
	}
	return list
}

// gather collects from all names that the word may begin, in their short form or, where
// no short form does, in the full one.
func (f *finding) gather(form func(content.Name) (short, full, about string)) error {
	short, full := gathering{word: f.word, steps: map[string]bool{}}, gathering{word: f.word, steps: map[string]bool{}}
	prefixes := []string{f.word}
	if f.word != "" {
		prefixes = append(prefixes, oci.DockerHub+"/"+f.word, oci.DockerHub+"/library/"+f.word)
	}
	var err error
	for _, prefix := range prefixes {
		err = errors.Join(err, f.dist.EachName(f.ctx, prefix, func(n content.Name) bool {
			if f.isAttachment(n) {
				return true
			}
			s, l, about := form(n)
			return short.take(s, about) && full.take(l, about)
		}))
	}
	list := short.list()
	if len(list) == 0 {
		list = full.list()
	}
	f.list = append(f.list, list...)
	return err
}

// isAttachment says whether a name is there for a tag of cosign's alone, and the word does
// not go into that.
func (f *finding) isAttachment(n content.Name) bool {
	_, _, attachment := oci.ParseAttachmentTag(n.Reference.Tag)
	return attachment && !strings.Contains(f.word, ":sha")
}

func (f *finding) names() error {
	return f.gather(func(n content.Name) (short, full, about string) {
		return client.Familiar(n.Reference), n.Reference.String(), oci.ShortDigest(n.Target.Digest)
	})
}

// fullNames are for what is compared with names as they are listed.
func (f *finding) fullNames() error {
	return f.gather(func(n content.Name) (short, full, about string) {
		return n.Reference.String(), n.Reference.String(), oci.ShortDigest(n.Target.Digest)
	})
}

func (f *finding) repositories() error {
	return f.gather(func(n content.Name) (short, full, about string) {
		repository := n.Reference
		repository.Tag, repository.Digest = "", ""
		return strings.TrimSuffix(client.Familiar(n.Reference), n.Reference.String()[len(repository.String()):]), repository.String(), ""
	})
}

// minHex is from how many digits on a word is taken for the beginning of a digest.
const minHex = 4

// shortDigests are digests for a word that begins one.
func (f *finding) shortDigests() error {
	alg, hex, full := strings.Cut(f.word, ":")
	switch {
	case full && (alg == "sha256" || alg == "sha512"):
		return f.beginning(hex, true)
	case !full && len(alg) >= minHex && strings.Trim(alg, "0123456789abcdef") == "":
		return f.beginning(alg, false)
	}
	return nil
}

// digests are for what is nothing but a digest.
func (f *finding) digests() error {
	if strings.HasPrefix("sha256:", f.word) {
		return f.beginning("", true)
	}
	return f.shortDigests()
}

func (f *finding) beginning(hex string, full bool) error {
	infos, err := f.dist.Beginning(f.ctx, hex, maxCandidates+1)
	if len(infos) > maxCandidates {
		f.add("sha256:", "")
		return err
	}
	for _, info := range infos {
		value := info.Digest.String()
		if !full {
			value = info.Digest.Encoded()
		}
		f.add(value, fmt.Sprintf("%s, %s", info.MediaType, oci.HumanSize(info.Size)))
	}
	return err
}

// transports are the beginnings of locators, and files behind those that take them.
func (f *finding) transports() {
	for _, t := range []string{"oci", "oci-archive", "docker-archive", client.TransportBundle} {
		f.fileOf(t + ":")
	}
	f.add("docker://", "an image in a registry")
}

// fileOf offers a transport, and behind it files.
func (f *finding) fileOf(transport string) {
	if strings.HasPrefix(f.word, transport) {
		f.shell, f.path = shellFiles, transport
		return
	}
	f.add(transport, "a file or a folder")
}

func (f *finding) hosts() error {
	hosts, err := f.dist.Hosts(f.ctx)
	for _, h := range hosts {
		f.add(h, "")
	}
	return err
}

// usualPlatforms are what most images are for.
var usualPlatforms = []string{
	"linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/386", "linux/ppc64le", "linux/riscv64", "linux/s390x",
	"windows/amd64",
}

// platforms are those of an index that was named before and is here, else the usual ones.
func (f *finding) platforms() error {
	for _, word := range f.args {
		states, _ := f.dist.PlatformsOf(f.ctx, word)
		for _, p := range states {
			f.add(p.Platform, oci.ShortDigest(p.Digest))
		}
		if len(states) > 0 {
			return nil
		}
	}
	for _, p := range usualPlatforms {
		f.add(p, "")
	}
	return nil
}

func (f *finding) keys() error {
	f.shell = shellFiles
	keys, err := f.dist.Keys(f.ctx)
	for _, k := range keys {
		if k.Label != "" && k.Public != nil {
			f.add(k.Label, oci.ShortDigest(k.Public.ID()))
		}
	}
	return err
}

func (f *finding) sites() error {
	for s, err := range f.dist.Sites(f.ctx) {
		if err != nil {
			return err
		}
		f.add(s.Name, s.Note)
	}
	return nil
}

func (f *finding) leases() error {
	for l, err := range f.dist.Leases(f.ctx) {
		if err != nil {
			return err
		}
		f.add(l.ID, l.Note)
	}
	return nil
}

// ingests are the keys of those that were left behind.
func (f *finding) ingests() error {
	for l, err := range f.dist.Leftovers(f.ctx) {
		if err != nil {
			return err
		}
		f.add(l.Key, oci.HumanSize(l.Offset))
	}
	return nil
}

func (f *finding) types() error {
	for _, word := range oci.ShortNames() {
		mediaType, _ := oci.ParseMediaType(word)
		f.add(word, mediaType)
	}
	return nil
}

func (f *finding) settings() error {
	for _, k := range settingKeys() {
		f.add(k.key+"=", "for example "+k.example)
	}
	return nil
}

// topics are those of help, each a word alone.
func (f *finding) topics() error {
	for _, name := range topics {
		if len(f.args) == 0 {
			f.add(name, topicAbout(name))
		}
	}
	return nil
}

// verbs are all of them, and behind one of several words those that follow.
func (f *finding) verbs() error {
	if len(f.args) == 0 {
		for _, v := range verbs() {
			f.add(v.name, v.help)
		}
		return nil
	}
	parser, _, err := newParser(new(globalFlags), spoken(f.args[:1]), nil, nil)
	if err != nil {
		return err
	}
	for _, n := range parser.Model.Children {
		if n.Name == f.args[0] && len(f.args) == 1 {
			f.list = append(f.list, children(n)...)
		}
	}
	return nil
}
