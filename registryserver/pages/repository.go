package pages

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"dist.example/oci"
)

const (
	// repositoryReads bounds the manifests that are read for one page of tags.
	repositoryReads = 1000
	// maxAbout bounds the referrers that are looked at for one manifest.
	maxAbout = 100
)

// repositoryPage is the data of the page of a repository.
type repositoryPage struct {
	Path, Name string
	Tags       int
	Filter     string
	Partly     bool // not all manifests were looked into for the filter
	Rows       []tagRow
	Window     window
	Pulls      []command
	Newest     string // what Pulls get
	Plain      bool   // docker has to be told that there is no TLS
}

type tagRow struct {
	Text, Suffix string
	Digest       oci.Digest
	Kind         string
	Damaged      bool
	Platforms    []platformMark
	Here, Of     int // platforms
	Size         int64
	More         bool
	About        string // signatures and the like, counted
	Updated      time.Time
}

// platformMark is a platform of an index.
type platformMark struct {
	Name string
	Here bool
}

// repositoryPage shows the tags of repo, newest first.
func (s *site) repositoryPage(r *http.Request, repo *repository) (view, error) {
	q := parseQuery(r.URL.Query().Get("q"))
	p := repositoryPage{Path: repo.path, Name: repo.ref.Name(), Filter: q.text, Tags: len(repo.entries)}
	entries := repo.entries
	if left := q.missing(repo); len(left) > 0 {
		var err error
		if entries, p.Partly, err = s.filter(r.Context(), repo, left); err != nil {
			return view{}, err
		}
	}
	start := afterEntry(entries, r.URL.Query().Get("after"))
	p.Window = paginate(r, len(entries), start, func(i int) string { return cursor(entries[i]) })
	reads := repositoryReads
	for _, e := range entries[p.Window.From-1 : p.Window.To] {
		row, err := s.tagRow(r.Context(), repo, e, &reads)
		if err != nil {
			return view{}, err
		}
		p.Rows = append(p.Rows, row)
	}
	if err := s.pullNewest(r, repo, &p); err != nil {
		return view{}, err
	}
	return view{template: "repository", title: repo.name(), data: p}, nil
}

// pullNewest tells how to pull the name that most come for.
func (s *site) pullNewest(r *http.Request, repo *repository, p *repositoryPage) error {
	e := foremost(repo.entries)
	d, err := s.documents.get(r.Context(), e.descriptor())
	if unreadable(err) {
		return nil
	}
	if err != nil {
		return err
	}
	at := s.reach(r)
	p.Newest = cmp.Or(e.tag, oci.ShortDigest(e.digest))
	p.Pulls, p.Plain = at.pulls(d.kind, repo.path, e.suffix()), at.plain(d.kind)
	return nil
}

// foremost is the tag latest, or the newest name without one. A signature's is the
// newest of most images that are signed, and no one's wish.
func foremost(entries []entry) entry {
	latest := func(e entry) bool { return e.tag == "latest" }
	plain := func(e entry) bool { return kindOfTag("", e.tag) == "" }
	for _, wanted := range []func(entry) bool{latest, plain} {
		if i := slices.IndexFunc(entries, wanted); i >= 0 {
			return entries[i]
		}
	}
	return entries[0]
}

// cursor names the row of e.
func cursor(e entry) string { return strconv.FormatInt(e.seq, 10) + e.suffix() }

// afterEntry is where the row after the one called at is: names that changed since
// are before it.
func afterEntry(entries []entry, at string) int {
	suffix := strings.TrimLeft(at, "0123456789")
	seq, err := strconv.ParseInt(at[:len(at)-len(suffix)], 10, 64)
	if err != nil || suffix == "" {
		return 0
	}
	last := entry{seq: seq, tag: suffix[1:]}
	if suffix[0] == '@' {
		last = entry{seq: seq, digest: oci.Digest(suffix[1:])} // only compared
	}
	i := slices.IndexFunc(entries, func(e entry) bool { return newerFirst(&e, &last) > 0 })
	if i < 0 {
		return len(entries)
	}
	return i
}

// filter are the names of repo that have all words, newest first.
func (s *site) filter(ctx context.Context, repo *repository, words []string) ([]entry, bool, error) {
	found, partly, err := s.lookInto(ctx, repo.candidates(words))
	var entries []entry
	for _, c := range found {
		entries = append(entries, *c.entry)
	}
	return entries, partly, err
}

// tagRow tells of one name.
func (s *site) tagRow(ctx context.Context, repo *repository, e entry, reads *int) (tagRow, error) {
	row := tagRow{Text: e.tag, Suffix: e.suffix(), Digest: e.digest, Updated: e.updated}
	if *reads <= 0 {
		return unreadRow(row, e), nil
	}
	d, err := s.documents.get(ctx, e.descriptor())
	if unreadable(err) {
		row.Damaged = true
		return row, nil
	}
	if err != nil {
		return row, err
	}
	row.Kind = kindOfTag(d.kind, e.tag).word()
	w := s.scale(repo, *reads)
	if err := w.add(ctx, e.descriptor()); err != nil {
		return row, err
	}
	*reads, row.Size, row.More = w.reads, w.total, w.more
	if err := s.markPlatforms(ctx, repo, d, &row); err != nil {
		return row, err
	}
	about, err := s.about(ctx, repo, e.digest)
	if err != nil {
		return row, err
	}
	var kinds []kind
	for _, a := range about.List {
		kinds = append(kinds, a.kind)
	}
	row.About = tally(kinds)
	return row, nil
}

// unreadRow is the row of a name that comes after too much to be read itself.
func unreadRow(row tagRow, e entry) tagRow {
	var k kind
	if oci.IsIndex(e.mediaType) {
		k = kindIndex
	}
	row.Kind, row.Size, row.More = kindOfTag(k, e.tag).word(), e.size, true
	return row
}

// kindOfTag is k, or what the tag says where that tells more.
func kindOfTag(k kind, tag string) kind {
	if _, suffix, ok := oci.ParseAttachmentTag(tag); ok {
		return kind(oci.KindOfSuffix(suffix))
	}
	return k
}

// maxMarks bounds the platforms that are written in a list of tags.
const maxMarks = 12

func (s *site) markPlatforms(ctx context.Context, repo *repository, d *document, row *tagRow) error {
	if d.platform != "" {
		row.Platforms = []platformMark{{d.platform, true}}
	}
	all := d.platforms()
	if len(all) == 0 {
		return nil
	}
	descs := make([]oci.Descriptor, len(all))
	for i, c := range all {
		descs[i] = c.Descriptor
	}
	here, err := s.here(ctx, repo.ref.Name(), descs)
	if err != nil {
		return err
	}
	row.Of = len(all)
	for _, c := range all {
		if here[c.Digest] {
			row.Here++
		}
		if c.platform != "" && len(row.Platforms) < maxMarks {
			row.Platforms = append(row.Platforms, platformMark{c.platform, here[c.Digest]})
		}
	}
	return nil
}

// referrer is something that is about a manifest.
type referrer struct {
	kind         kind
	Kind, Type   string
	Text, Suffix string
	Digest       oci.Digest
	Size         int64
	Created      string // as its annotation says
}

// abouts are referrers, and whether there are more of them.
type abouts struct {
	List []referrer
	More bool
}

// about lists what is about subject in repo: its referrers there, and the tags that
// tools make for want of such a list.
func (s *site) about(ctx context.Context, repo *repository, subject oci.Digest) (abouts, error) {
	var a abouts
	var descs []oci.Descriptor
	for d, err := range s.lib.Referrers(ctx, subject, "") {
		if err != nil {
			return a, err
		}
		if len(descs) == maxAbout {
			a.More = true
			break
		}
		descs = append(descs, d)
	}
	if len(descs) > 0 {
		here, err := s.here(ctx, repo.ref.Name(), descs)
		if err != nil {
			return a, err
		}
		for _, d := range held(descs, here) {
			a.List = append(a.List, describeReferrer(d))
		}
	}
	tags, err := s.aboutTags(ctx, repo, subject)
	a.List = append(a.List, tags...)
	return a, err
}

func describeReferrer(d oci.Descriptor) referrer {
	k := cmp.Or(ofType(d.ArtifactType), kindArtifact)
	// What a signature of Sigstore's newer form is a statement of is among its
	// annotations.
	if k == kindSignature && strings.HasPrefix(d.Annotations["dev.sigstore.bundle.predicateType"], "https://slsa.dev/") {
		k = kindAttestation
	}
	return referrer{
		kind: k, Kind: k.word(), Type: clip(cmp.Or(d.ArtifactType, d.MediaType)),
		Text: oci.ShortDigest(d.Digest), Suffix: suffixOf(d.Digest),
		Digest: d.Digest, Size: d.Size, Created: clip(d.Annotations[oci.AnnotationCreated]),
	}
}

// aboutTags looks for tags that say in their names that they are about subject.
func (s *site) aboutTags(ctx context.Context, repo *repository, subject oci.Digest) ([]referrer, error) {
	begin := oci.AttachmentTag(subject, "") // of all of them
	if begin == "" {
		return nil, nil
	}
	var all []referrer
	for n, err := range s.lib.Names(ctx, repo.ref.Name()+":"+begin) {
		if err != nil {
			return nil, err
		}
		tag := n.Reference.Tag
		k := kindOfTag("", tag)
		if k == "" {
			continue
		}
		all = append(all, referrer{
			kind: k, Kind: k.word(), Type: "by its tag", Text: oci.ShortDigest(n.Target.Digest), Suffix: ":" + tag,
			Digest: n.Target.Digest, Size: n.Target.Size,
		})
	}
	return all, nil
}
