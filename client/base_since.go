package client

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
)

// sinceBundles are the bundles that o.Since tells, out of those that were sent (to o.For,
// where that is given), the newest first: the last one of a name, NAME@SERIAL, one by the
// digest of its index.json or the beginning of that; or by a time, as those of names in
// history are given, all of o.Name up to then. Errors: ErrNotFound; ErrInvalid for what
// may be several.
func sinceBundles(sent []blobstore.Bundle, o ExportOptions) ([]blobstore.Bundle, error) {
	if found, err := sinceName(sent, o.Since); found != nil || err != nil {
		return found, err
	}
	if found, err := sinceDigest(sent, o.Since); found != nil || err != nil {
		return found, err
	}
	if at, ok := parseWhen(o.Since, time.Now()); ok {
		return sinceTime(sent, o, at)
	}
	return nil, content.WithHint(fmt.Errorf("export since %s: %w: no such bundle was sent from here", o.Since, content.ErrNotFound),
		"`dist query \"SELECT name, serial, digest, at FROM bundles WHERE direction = 'sent'\"` lists them; a time is 2026-01-31, 2026-01-31 15:04 or 7d")
}

// sinceName finds the bundle NAME or NAME@SERIAL; nil for none. Errors: ErrInvalid for a
// name whose bundles went to several sites.
func sinceName(sent []blobstore.Bundle, word string) (found []blobstore.Bundle, err error) {
	name, number, exact := strings.Cut(word, "@")
	serial, err := strconv.ParseInt(number, 10, 64)
	if name == "" || exact && err != nil {
		return nil, nil
	}
	var all []blobstore.Bundle
	for _, b := range sent {
		if b.Name == name && (!exact || b.Serial == serial) {
			all = append(all, b)
		}
	}
	if err := ofOneSite(all, word, "of the name "+name); err != nil || len(all) == 0 {
		return nil, err
	}
	last := slices.MaxFunc(all, func(a, b blobstore.Bundle) int { return cmp.Compare(a.Serial, b.Serial) })
	return []blobstore.Bundle{last}, nil
}

// ofOneSite refuses bundles for several sites together: none has what another got.
func ofOneSite(all []blobstore.Bundle, since, what string) error {
	i := slices.IndexFunc(all, func(b blobstore.Bundle) bool { return b.Site != all[0].Site })
	if i < 0 {
		return nil
	}
	return content.WithHint(fmt.Errorf("export since %s: %w: bundles %s went to %s and to %s", since, content.ErrInvalid, what, siteOrNone(all[0].Site), siteOrNone(all[i].Site)),
		"--for SITE takes those to one site; --since NAME@SERIAL names one bundle")
}

// minBundlePrefix is the least number of hex digits that may stand for a bundle.
const minBundlePrefix = 6

// sinceDigest finds the last of the bundles with a digest; nil for none.
func sinceDigest(sent []blobstore.Bundle, word string) (found []blobstore.Bundle, err error) {
	hex := strings.TrimPrefix(word, "sha256:")
	if len(hex) < minBundlePrefix || strings.Trim(hex, "0123456789abcdef") != "" {
		return nil, nil
	}
	for _, b := range sent {
		switch {
		case !strings.HasPrefix(b.Digest.Encoded(), hex):
		case found == nil:
			found = []blobstore.Bundle{b}
		case found[0].Digest != b.Digest:
			return nil, fmt.Errorf("export since %s: %w: it may be %s or %s", word, content.ErrInvalid, found[0].Digest, b.Digest)
		}
	}
	return found, nil
}

// sinceTime finds all bundles of o.Name up to a time, or all for o.For where only that is
// given.
func sinceTime(sent []blobstore.Bundle, o ExportOptions, at time.Time) (found []blobstore.Bundle, err error) {
	for _, b := range sent {
		if (b.Name == o.Name || o.Name == "" && o.For != "") && !b.At.After(at) {
			found = append(found, b)
		}
	}
	what := "without a name"
	switch {
	case o.Name != "":
		what = "of the name " + o.Name
	case o.For != "":
		what = "for site " + o.For
	}
	if len(found) == 0 {
		return nil, content.WithHint(fmt.Errorf("export since %s: %w: no bundle %s was sent up to %s", o.Since, content.ErrNotFound, what, at.Format(time.RFC3339)),
			"--name says of which bundles, --for of which site; without --since all is exported")
	}
	if err := ofOneSite(found, o.Since, what); err != nil {
		return nil, err
	}
	return found, nil
}

func siteOrNone(site string) string {
	if site == "" {
		return "no site"
	}
	return "site " + site
}
