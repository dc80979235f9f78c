package contenttest

import (
	"slices"

	"dist.example/content"
	"dist.example/oci"
)

// The repositories of these checks; the first is also how another begins.
const (
	repoA = "r.example/team"
	repoB = "r.example/team/app"
	repoC = "r.example:5000/team"
)

var repositoryPromises = []promise{
	{"AFreshStoreHasNothingInAnyRepository", func(f *fixture) {
		desc, _ := f.image(1)
		f.isIn(repoA, nil, desc, absent(octets, 1))
		f.mayBeIn(desc)
		f.mayBeIn(absent(octets, 1))
		in, err := f.InRepository(f.Context(), repoA)
		f.must(err)
		if len(in) != 0 {
			f.Errorf("no digests give %v", in)
		}
	}},
	{"ANameBringsAllThatItReaches", func(f *fixture) {
		one, blobs := f.image(1)
		two, others := f.image(2)
		x := f.putJSON(oci.MediaTypeIndex, indexOf(one, absent(oci.MediaTypeManifest, 9)))
		f.must(f.setName(repoA+":v1", x.Digest))
		all := slices.Concat([]oci.Descriptor{x, one, two}, blobs, others)
		f.isIn(repoA, append([]oci.Descriptor{x, one}, blobs...), all...)
		f.isIn(repoB, nil, all...)
		f.isIn(repoC, nil, all...)
		f.must(f.setName(repoB+"@"+two.Digest.String(), two.Digest))
		f.isIn(repoB, append([]oci.Descriptor{two}, others...), all...)
		f.isIn(repoA, append([]oci.Descriptor{x, one}, blobs...), all...)
		f.must(f.setName(repoA+":v1", ""))
		f.isIn(repoA, nil, all...)
	}},
	{"WhatIsIncludedIsThereAndNowhereElse", func(f *fixture) {
		desc := f.put(octets, []byte("x"))
		f.must(f.Include(f.Context(), repoA, content.Pushed, desc.Digest))
		f.must(f.Include(f.Context(), repoA, content.Pushed, desc.Digest))
		f.isIn(repoA, []oci.Descriptor{desc}, desc)
		f.isIn(repoB, nil, desc)
		f.isIn(repoC, nil, desc)
		f.mayBeIn(desc, repoA)
	}},
	{"OnlyWhatIsHeldIsIncluded", func(f *fixture) {
		desc := f.put(octets, []byte("x"))
		err := f.Include(f.Context(), repoA, content.Pushed, desc.Digest, absent(octets, 1).Digest)
		f.want(content.ErrNotFound, err)
		f.isIn(repoA, nil, desc)
		f.want(content.ErrInvalid, f.Include(f.Context(), repoA, 0, desc.Digest))
	}},
	{"AnIngestCanBePushedToARepository", func(f *fixture) {
		for i, n := range []int{100, 1 << 20} {
			data := noise(uint64(i), n)
			desc := descriptor(octets, data)
			w := f.writer(content.IngestOptions{Key: "k", Total: -1, MediaType: octets, Repository: repoA})
			f.write(w, data[:50])
			f.must(w.Close())
			w = f.writer(content.IngestOptions{Key: "k", Expected: desc.Digest, Total: -1, MediaType: octets, Repository: repoA})
			f.write(w, data[50:])
			f.isIn(repoA, nil, desc)
			f.commit(w)
			f.isIn(repoA, []oci.Descriptor{desc}, desc)
			f.isIn(repoB, nil, desc)
			// Who only knows the digest has brought nothing.
			_, err := f.Writer(f.Context(), content.IngestOptions{Expected: desc.Digest, Total: -1, Repository: repoB})
			f.want(content.ErrExists, err)
			f.isIn(repoB, nil, desc)
		}
	}},
	{"AnIngestThatFailsIsInNoRepository", func(f *fixture) {
		data, held := noise(1, 1000), f.put(octets, noise(2, 1000))
		w := f.writer(content.IngestOptions{Expected: held.Digest, Total: -1, Again: true, Repository: repoA})
		f.write(w, data)
		_, err := w.Commit(f.Context())
		f.want(content.ErrCorrupt, err)
		f.isIn(repoA, nil, held, descriptor(octets, data))
	}},
	{"AMirroredManifestBringsWhatItRefersTo", func(f *fixture) {
		desc, blobs := f.image(1)
		x := f.putJSON(oci.MediaTypeIndex, indexOf(desc))
		f.must(f.Include(f.Context(), repoA, content.Mirrored, x.Digest))
		f.isIn(repoA, append([]oci.Descriptor{x, desc}, blobs...), append([]oci.Descriptor{x, desc}, blobs...)...)
	}},
	{"APushedManifestBringsNothing", func(f *fixture) {
		desc, blobs := f.image(1)
		f.must(f.Include(f.Context(), repoA, content.Pushed, desc.Digest))
		f.isIn(repoA, []oci.Descriptor{desc}, append(blobs, desc)...)
		f.must(f.Include(f.Context(), repoA, content.Mirrored, desc.Digest))
		f.isIn(repoA, append(blobs, desc), append(blobs, desc)...)
		f.must(f.Include(f.Context(), repoA, content.Pushed, desc.Digest)) // no less than before
		f.isIn(repoA, append(blobs, desc), append(blobs, desc)...)
	}},
	{"AMirroredIndexBringsWhatComesLaterAndAPushedOneDoesNot", func(f *fixture) {
		m, blobs := f.parts(1)
		data := asJSON(m)
		child := descriptor(oci.MediaTypeManifest, data)
		x := f.pushJSON(repoA, oci.MediaTypeIndex, indexOf(child))
		outer := f.pushJSON(repoA, oci.MediaTypeIndex, indexOf(x))
		f.must(f.Include(f.Context(), repoB, content.Mirrored, x.Digest))
		f.must(f.setName(repoA+":v1", x.Digest))
		f.must(f.setName(repoA+":v2", outer.Digest))
		f.push(repoC, oci.MediaTypeManifest, data)
		f.isIn(repoA, nil, append(blobs, child)...)
		f.isIn(repoB, append(blobs, child), append(blobs, child)...)
		// Saying so again is no help.
		f.pushJSON(repoA, oci.MediaTypeIndex, indexOf(child))
		f.must(f.setName(repoA+":v3", x.Digest))
		f.isIn(repoA, nil, append(blobs, child)...)
	}},
	{"ANamedPushVouchesForWhatWasThere", func(f *fixture) {
		m, blobs := f.parts(1)
		for _, b := range blobs {
			f.must(f.Include(f.Context(), repoA, content.Pushed, b.Digest))
		}
		desc := f.pushJSON(repoA, oci.MediaTypeManifest, m)
		x := f.pushJSON(repoA, oci.MediaTypeIndex, indexOf(desc))
		f.must(f.setName(repoA+":v1", x.Digest))
		f.want(content.ErrConflict, f.Exclude(f.Context(), repoA, blobs[1].Digest))
		f.isIn(repoA, blobs, blobs...)
	}},
	{"APushTakesNothingFromWhatANameBrings", func(f *fixture) {
		desc, blobs := f.image(1)
		x := f.putJSON(oci.MediaTypeIndex, indexOf(desc, absent(oci.MediaTypeManifest, 9)))
		f.must(f.setName(repoA+":v1", x.Digest))
		f.must(f.Include(f.Context(), repoA, content.Pushed, desc.Digest, x.Digest))
		f.isIn(repoA, append(blobs, desc, x), append(blobs, desc, x)...)
	}},
	{"BytesPushedAsABlobVouchForNothingOnceTheyAreAManifest", func(f *fixture) {
		m, blobs := f.parts(1)
		data := asJSON(m)
		f.push(repoA, octets, data)
		desc := f.push(repoB, oci.MediaTypeManifest, data)
		x := f.pushJSON(repoA, oci.MediaTypeIndex, indexOf(desc))
		f.must(f.setName(repoA+":v1", x.Digest))
		f.isIn(repoA, []oci.Descriptor{x, desc}, append(blobs, x, desc)...)
	}},
	{"AReferrerGoesWithItsSubject", func(f *fixture) {
		subject, _ := f.image(1)
		a := f.artifact(subject, sbomType, "a")
		b := f.artifact(a, signatureType, "of the sbom")
		layer := descriptor(sbomType, []byte("a"))
		f.must(f.setName(repoA+":v1", subject.Digest))
		f.must(f.Include(f.Context(), repoB, content.Pushed, subject.Digest))
		f.isIn(repoA, []oci.Descriptor{a, b, layer}, a, b, layer)
		f.isIn(repoB, []oci.Descriptor{a, b, layer}, a, b, layer)
		f.isIn(repoC, nil, a, b, layer)
		f.mayBeIn(layer, repoA, repoB)
	}},
	{"AReferrerThatWasIncludedStaysWhereItWas", func(f *fixture) {
		subject, _ := f.image(1)
		pushed := f.artifact(subject, sbomType, "pushed")
		mirrored := f.artifact(subject, sbomType, "mirrored")
		for _, repo := range []string{repoA, repoB, repoC} {
			f.must(f.Include(f.Context(), repo, content.Pushed, subject.Digest))
		}
		f.must(f.Include(f.Context(), repoA, content.Pushed, pushed.Digest))
		f.must(f.Include(f.Context(), repoB, content.Mirrored, mirrored.Digest))
		f.isIn(repoA, []oci.Descriptor{pushed}, pushed, mirrored)
		f.isIn(repoB, []oci.Descriptor{mirrored}, pushed, mirrored)
		f.isIn(repoC, nil, pushed, mirrored)
		// Taken out of there it is in none, and not in all.
		f.must(f.Exclude(f.Context(), repoA, pushed.Digest))
		f.must(f.Exclude(f.Context(), repoB, mirrored.Digest))
		for _, repo := range []string{repoA, repoB, repoC} {
			f.isIn(repo, nil, pushed, mirrored)
		}
		f.must(f.Include(f.Context(), repoC, content.Pushed, pushed.Digest))
		f.isIn(repoA, nil, pushed)
		f.isIn(repoC, []oci.Descriptor{pushed}, pushed)
	}},
	{"AReferrerThatWasExcludedStaysOutOfThere", func(f *fixture) {
		subject, _ := f.image(1)
		a := f.artifact(subject, sbomType, "a")
		layer := descriptor(sbomType, []byte("a"))
		f.must(f.setName(repoA+":v1", subject.Digest))
		f.must(f.setName(repoB+":v1", subject.Digest))
		f.must(f.Exclude(f.Context(), repoA, a.Digest))
		f.isIn(repoA, nil, a, layer)
		f.isIn(repoB, []oci.Descriptor{a, layer}, a, layer)
		f.must(f.Include(f.Context(), repoA, content.Pushed, a.Digest))
		f.isIn(repoA, []oci.Descriptor{a}, a)
	}},
	{"WhatIsExcludedIsOutOfThisOneAlone", func(f *fixture) {
		desc := f.put(octets, []byte("x"))
		f.must(f.Include(f.Context(), repoA, content.Pushed, desc.Digest))
		f.must(f.Include(f.Context(), repoB, content.Mirrored, desc.Digest))
		f.must(f.Exclude(f.Context(), repoA, desc.Digest))
		f.must(f.Exclude(f.Context(), repoA, desc.Digest, absent(octets, 1).Digest))
		f.must(f.Exclude(f.Context(), repoC))
		f.isIn(repoA, nil, desc)
		f.isIn(repoB, []oci.Descriptor{desc}, desc)
		f.mayBeIn(desc, repoB)
		f.holds(desc.Digest, []byte("x"))
		f.must(f.Include(f.Context(), repoA, content.Pushed, desc.Digest))
		f.isIn(repoA, []oci.Descriptor{desc}, desc)
	}},
	{"NamesThereGoWithWhatIsExcluded", func(f *fixture) {
		desc, _ := f.image(1)
		for _, name := range []string{repoA + ":v1", repoA + ":v2", repoA + "@" + desc.Digest.String(), repoB + ":v1", repoC + ":v1"} {
			f.must(f.setName(name, desc.Digest))
		}
		f.must(f.Exclude(f.Context(), repoA, desc.Digest))
		f.isIn(repoA, nil, desc)
		f.isIn(repoB, []oci.Descriptor{desc}, desc)
		if left := f.names(""); len(left) != 2 {
			f.Errorf("left are %+v", left)
		}
	}},
	{"WhatSomethingThereRefersToStays", func(f *fixture) {
		desc, blobs := f.image(1)
		x := f.putJSON(oci.MediaTypeIndex, indexOf(desc))
		f.must(f.setName(repoA+":one", desc.Digest))
		f.must(f.setName(repoA+":all", x.Digest))
		f.must(f.Include(f.Context(), repoA, content.Pushed, blobs[0].Digest))
		f.want(content.ErrConflict, f.Exclude(f.Context(), repoA, blobs[0].Digest))
		f.want(content.ErrConflict, f.Exclude(f.Context(), repoA, desc.Digest))
		f.pointsTo(repoA+":one", desc.Digest) // nothing has changed
		f.isIn(repoA, []oci.Descriptor{desc, blobs[0]}, desc, blobs[0])
		// As one set they go.
		f.must(f.Exclude(f.Context(), repoA, blobs[0].Digest, desc.Digest, x.Digest))
		f.isIn(repoA, nil, append(blobs, desc, x)...)
		if left := f.names(""); len(left) != 0 {
			f.Errorf("left are %+v", left)
		}
	}},
	{"WhatIsDeletedIsInNone", func(f *fixture) {
		desc := f.push(repoA, octets, []byte("x"))
		f.must(f.Store.Delete(f.Context(), desc.Digest))
		f.isIn(repoA, nil, desc)
		f.mayBeIn(desc)
		f.push(repoB, octets, []byte("x"))
		f.isIn(repoA, nil, desc)
		f.isIn(repoB, []oci.Descriptor{desc}, desc)
	}},
	{"AParentThatIsDeletedBringsNothing", func(f *fixture) {
		desc, blobs := f.image(1)
		f.must(f.Include(f.Context(), repoA, content.Mirrored, desc.Digest))
		f.must(f.Store.Delete(f.Context(), desc.Digest))
		f.isIn(repoA, nil, append(blobs, desc)...)
	}},
	{"RepositoriesOfListsAllThatMayHaveIt", func(f *fixture) {
		desc, blobs := f.image(1)
		x := f.putJSON(oci.MediaTypeIndex, indexOf(desc))
		f.must(f.setName(repoA+":v1", x.Digest))
		f.must(f.setName(repoA+":v2", desc.Digest))
		f.must(f.Include(f.Context(), repoC, content.Pushed, blobs[1].Digest))
		f.mayBeIn(blobs[1], repoC, repoA)
		f.mayBeIn(x, repoA)
		for first, err := range f.RepositoriesOf(f.Context(), blobs[1].Digest) {
			f.must(err)
			if first != repoC {
				f.Errorf("the first is %s", first)
			}
			f.isIn(first, blobs[1:2], blobs[1]) // it may be asked about meanwhile
			break
		}
	}},
}

var againPromises = []promise{
	{"WhatIsHeldIsWrittenAgain", func(f *fixture) {
		for i, n := range []int{0, 100, 300 << 10, 1 << 20} {
			data := noise(uint64(i), n)
			for _, d := range []oci.Digest{oci.DigestBytes(data), oci.SHA512.FromBytes(data)} {
				opts := content.IngestOptions{Expected: d, Total: -1, MediaType: octets, Again: true}
				var infos []content.Info
				for _, opts.Key = range []string{"", "first", ""} {
					w := f.writer(opts)
					if off := w.Status().Offset; off != 0 {
						f.Fatalf("%d bytes are there already", off)
					}
					f.write(w, data)
					infos = append(infos, f.commit(w))
				}
				if infos[0].Digest != d || infos[1] != infos[0] || infos[2] != infos[0] {
					f.Errorf("Commit tells of %+v", infos)
				}
				f.holds(d, data)
			}
		}
		for st, err := range f.Active(f.Context()) {
			f.must(err)
			f.Errorf("left behind: %+v", st)
		}
	}},
	{"OtherBytesAreCorruptAndChangeNothing", func(f *fixture) {
		for i, n := range []int{100, 1 << 20} {
			data, other := noise(uint64(i), n), noise(uint64(i)+10, n)
			desc := f.put(octets, data)
			for _, opts := range []content.IngestOptions{
				{Expected: desc.Digest, Total: -1, MediaType: octets, Again: true, Repository: repoA},
				{Key: "k", Expected: desc.Digest, Total: desc.Size, MediaType: octets, Again: true, Repository: repoA},
			} {
				w := f.writer(opts)
				f.write(w, other)
				_, err := w.Commit(f.Context())
				f.want(content.ErrCorrupt, err)
				f.must(w.Close())
			}
			f.must(f.Abort(f.Context(), "k"))
			f.holds(desc.Digest, data)
			f.lacks(oci.DigestBytes(other))
			f.isIn(repoA, nil, desc)
		}
	}},
	{"RightBytesMakeTheLink", func(f *fixture) {
		for i, n := range []int{100, 1 << 20} {
			data := noise(uint64(i), n)
			desc := f.put(oci.MediaTypeLayer, data)
			f.push(repoA, octets, data)
			f.push(repoB, octets, data)
			f.isIn(repoA, []oci.Descriptor{desc}, desc)
			f.isIn(repoB, []oci.Descriptor{desc}, desc)
			info, err := f.Info(f.Context(), desc.Digest)
			f.must(err)
			if info.MediaType != oci.MediaTypeLayer {
				f.Errorf("it has become %s", info.MediaType)
			}
		}
	}},
	{"AnIngestGoesOnThoughItsContentCameInMeanwhile", func(f *fixture) {
		for i, n := range []int{100, 1 << 20} {
			data := noise(uint64(i), n)
			d := oci.SHA512.FromBytes(data)
			w := f.writer(content.IngestOptions{Key: "k", Expected: d, Total: -1, MediaType: octets, Repository: repoA})
			f.write(w, data[:60])
			f.must(w.Close())
			opts := content.IngestOptions{Key: "other", Expected: d, Total: -1, MediaType: octets, Again: true}
			w = f.writer(opts)
			f.write(w, data)
			f.commit(w)
			opts.Key, opts.Repository = "k", repoA
			w = f.writer(opts)
			if off := w.Status().Offset; off != 60 {
				f.Fatalf("it goes on at %d", off)
			}
			f.write(w, data[60:])
			f.commit(w)
			f.isIn(repoA, []oci.Descriptor{{Digest: d}}, oci.Descriptor{Digest: d})
			f.holds(d, data)
		}
	}},
}

// push stores data as a client of a registry does: it proves that it has it.
func (f *fixture) push(repo, mediaType string, data []byte) oci.Descriptor {
	f.Helper()
	desc := descriptor(mediaType, data)
	w := f.writer(content.IngestOptions{Expected: desc.Digest, Total: -1, MediaType: mediaType, Repository: repo, Again: true})
	f.write(w, data)
	f.commit(w)
	return desc
}

func (f *fixture) pushJSON(repo, mediaType string, v any) oci.Descriptor {
	f.Helper()
	return f.push(repo, mediaType, asJSON(v))
}

// isIn checks that of all, those of want are in repo.
func (f *fixture) isIn(repo string, want []oci.Descriptor, all ...oci.Descriptor) {
	f.Helper()
	digests := make([]oci.Digest, len(all))
	for i, d := range all {
		digests[i] = d.Digest
	}
	in, err := f.InRepository(f.Context(), repo, digests...)
	f.must(err)
	if len(in) != len(all) {
		f.Fatalf("%d answers for %d digests", len(in), len(all))
	}
	for i, d := range all {
		wanted := slices.ContainsFunc(want, func(w oci.Descriptor) bool { return w.Digest == d.Digest })
		one, err := f.InRepository(f.Context(), repo, d.Digest)
		f.must(err)
		if in[i] != wanted || one[0] != wanted {
			f.Errorf("%s (%s, %d of %d): in %s is %v, alone %v, want %v", d.MediaType, d.Digest, i, len(all), repo, in[i], one[0], wanted)
		}
	}
}

// mayBeIn checks what RepositoriesOf lists.
func (f *fixture) mayBeIn(d oci.Descriptor, want ...string) {
	f.Helper()
	var got []string
	for repo, err := range f.RepositoriesOf(f.Context(), d.Digest) {
		f.must(err)
		got = append(got, repo)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		f.Errorf("RepositoriesOf lists %q, want %q", got, want)
	}
}
