package cmd

import (
	"fmt"
	"strings"

	"dist.example/client"
	"dist.example/oci"
)

// searchCmd is `dist search`.
type searchCmd struct {
	quietFlag
	Limit int      `short:"n" placeholder:"N" default:"50" help:"At most so many, 0 for all (${default} by default). Where there are more, stderr says so."`
	Words []string `arg:"" name:"word" complete:"none" help:"What to look for: words that all have to be there, redis* for a beginning, '\"two words\"' for words that follow one another."`
}

// Help is the longer text of `dist search --help`.
func (searchCmd) Help() string {
	return `Looked through are names, and what manifests and indexes say: annotations, media types and artifact types, platforms, labels of images, names of files in artifacts; and ids and labels of the keys whose signatures were verified under the policy. Upper and lower case are the same. A word is letters and digits: docker.io is two that follow one another. Nothing that is typed is malformed, but there has to be a word.

The best comes first. MATCH is where the words are. What has no name is shown by its digest. Digests of content are not searched: that is for "dist inspect".

The store keeps an index, which this command brings up to date where it may write. Where not, it looks through the rest itself each time: that takes a few KiB of memory for each manifest.

Examples:

    $ dist search redis
    $ dist search alpine arm64
    $ dist search 'maintain*' example.com
    $ dist search -q spdx`
}

type foundJSON struct {
	Names     []string    `json:"names"`
	Digest    oci.Digest  `json:"digest"`
	MediaType string      `json:"mediaType"`
	Kind      string      `json:"kind"`
	Size      int64       `json:"size"`
	Matches   []matchJSON `json:"matches"`
}

type matchJSON struct {
	Field string `json:"field"`
	Text  string `json:"text"`
}

func newFoundJSON(f client.Found) foundJSON {
	j := foundJSON{Names: []string{}, Digest: f.Digest, MediaType: f.MediaType, Kind: strings.ToLower(string(f.Kind)), Size: f.Size, Matches: []matchJSON{}}
	for _, n := range f.Names {
		j.Names = append(j.Names, n.String())
	}
	for _, m := range f.Matches {
		j.Matches = append(j.Matches, matchJSON(m))
	}
	return j
}

// Run searches.
func (c *searchCmd) Run(s *session) error {
	if c.Limit < 0 {
		return usagef("--limit %d: want 0 or more", c.Limit)
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	result, err := dist.Search(s.ctx, strings.Join(c.Words, " "), c.Limit)
	if err != nil {
		return err
	}
	err = printList(s.stdout, s.format(), c.Quiet, listing[client.Found]{
		key:     "found",
		columns: columns("NAME", "TYPE", "DIGEST", "MATCH"),
		row: func(f client.Found) []string {
			return []string{foundName(f), foundType(f), oci.ShortDigest(f.Digest), foundMatches(f)}
		},
		id:     foundID,
		object: func(f client.Found) any { return newFoundJSON(f) },
	}, each(result.Found))
	if err == nil && result.More {
		s.warn(fmt.Sprintf("there is more than %d: see --limit", c.Limit))
	}
	return err
}

// foundID is what other verbs take for it.
func foundID(f client.Found) string {
	if len(f.Names) == 0 {
		return f.Digest.String()
	}
	return f.Names[0].String()
}

// foundName is the first name, and how many more there are.
func foundName(f client.Found) string {
	switch n := len(f.Names); n {
	case 0:
		return oci.ShortDigest(f.Digest)
	case 1:
		return f.Names[0].String()
	default:
		return fmt.Sprintf("%s (+%d)", f.Names[0], n-1)
	}
}

func foundType(f client.Found) string {
	if f.Kind != "" {
		return string(f.Kind)
	}
	return f.MediaType
}

// foundMatches are the places of the words; a name says itself.
func foundMatches(f client.Found) string {
	var places []string
	for _, m := range f.Matches {
		if m.Field == "name" {
			places = append(places, "name")
			continue
		}
		places = append(places, m.Field+" "+m.Text)
	}
	return strings.Join(places, "; ")
}
