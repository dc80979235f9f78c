package cmd

import (
	"time"

	"dist.example/client"
	"dist.example/oci"
)

// maxSubject is how much of a key is repeated in messages.
const maxSubject = 256

// ingestCmd is `dist ingest`.
type ingestCmd struct {
	quietFlag
	Key    string `arg:"" complete:"ingest" help:"Key of the ingest: any text. One process at a time writes under a key."`
	Type   string `short:"t" default:"blob" placeholder:"TYPE" complete:"type" help:"Type of the content: a media type, or a word for one: layer, config, image, index, json, text or blob (the default)."`
	Digest digest `name:"expected-digest" placeholder:"DIGEST" help:"Digest that the content must have; any other is exit 4."`
	Size   *int64 `name:"expected-size" placeholder:"BYTES" help:"Size that the content must have, likewise."`
	Keep   span   `default:"7d" placeholder:"TIME" help:"How long the content is kept while no name reaches it: 12h, 30d (${default} by default)."`
}

// Help is the longer text of `dist ingest --help`.
func (ingestCmd) Help() string {
	return `Content comes from stdin, is verified, and is then accepted: its id is printed when it is safely on disk.

Of all that ingest under one key, at once or one after the other, the first does the work. The others wait for it; once the content with the expected digest is here they print its id and exit 0, without reading stdin. If the first dies, the next one takes over.

With --expected-digest or --expected-size, an input that ends early is exit 4, and what came is kept ("dist active --stale" shows it). Run it again with the whole input: that is compared with what is kept, and written from the first difference on. With --expected-size, input that is wrong and not just too short leaves nothing. With a digest alone the two cannot be told apart: what came is kept.

Without either, the end of stdin is the end of the content: if the command that writes it dies, what is stored is what came until then.

Examples:

    $ dist ingest --expected-digest "$DIGEST" --expected-size "$SIZE" redis-layer <layer.tar.gz
    $ dist fetch docker.io/library/redis "$DIGEST" | dist ingest -t layer --expected-digest "$DIGEST" docker.io/library/redis@"$DIGEST"

All layers of an image, ten at a time:

    $ dist fetch docker.io/library/redis latest mediatype:application/vnd.docker.distribution.manifest.v2+json |
        jq -r '.layers[] | "dist fetch docker.io/library/redis "+.digest+" | dist ingest --expected-digest "+.digest+" --expected-size "+(.size|tostring)+" docker.io/library/redis@"+.digest' |
        xargs -I{} -P10 -n1 sh -c "{}"`
}

// Run stores stdin under the key.
func (c *ingestCmd) Run(s *session) error {
	switch {
	case c.Size != nil && *c.Size < 0:
		return usagef("--expected-size %d: a size is not negative", *c.Size)
	case c.Keep == 0:
		return usagef("--keep 0: what is not kept at all need not be ingested")
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	s.progress.start()
	info, err := dist.Ingest(s.ctx, c.Key, client.IngestOptions{
		Type: c.Type, Expected: oci.Digest(c.Digest), Size: c.Size, Keep: time.Duration(c.Keep),
	}, s.stdin)
	s.progress.stop()
	if err != nil && len(c.Key) <= maxSubject {
		err = about(c.Key, err)
	}
	if err != nil {
		return err
	}
	return s.identified(c.quietFlag, info.Digest.String(), newInfoJSON(info))
}
