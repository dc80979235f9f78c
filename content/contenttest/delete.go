package contenttest

import (
	"dist.example/content"
	"dist.example/oci"
)

var deletePromises = []promise{
	{"WhatNothingHoldsGoes", func(f *fixture) {
		for i, n := range []int{0, 10, 1 << 20} {
			data := noise(uint64(i), n)
			desc := f.put(octets, data)
			f.must(f.Store.Delete(f.Context(), desc.Digest))
			f.lacks(desc.Digest)
			f.must(f.Store.Delete(f.Context(), desc.Digest))
			f.put(octets, data)
			f.holds(desc.Digest, data)
		}
	}},
	{"WhatIsNotHeldIsNoError", func(f *fixture) {
		desc := f.put(octets, []byte("x"))
		f.must(f.Store.Delete(f.Context(), absent(octets, 1).Digest, desc.Digest))
		f.lacks(desc.Digest)
		f.must(f.Store.Delete(f.Context()))
	}},
	{"WhatAManifestHoldsStays", func(f *fixture) {
		desc, blobs := f.image(1)
		x := f.putJSON(oci.MediaTypeIndex, indexOf(desc))
		for _, b := range append(blobs, desc) {
			f.want(content.ErrConflict, f.Store.Delete(f.Context(), b.Digest))
		}
		f.must(f.Store.Delete(f.Context(), x.Digest))
		f.must(f.Store.Delete(f.Context(), desc.Digest))
		for _, b := range blobs {
			f.must(f.Store.Delete(f.Context(), b.Digest))
		}
		if all := f.all(); len(all) != 0 {
			f.Errorf("still held: %+v", all)
		}
	}},
	{"ASetIsJudgedAsOne", func(f *fixture) {
		desc, blobs := f.image(1)
		x := f.putJSON(oci.MediaTypeIndex, indexOf(desc))
		// The order does not matter: children first.
		set := []oci.Digest{blobs[0].Digest, blobs[1].Digest, blobs[2].Digest, desc.Digest, x.Digest}
		f.want(content.ErrConflict, f.Store.Delete(f.Context(), set[:4]...))
		f.must(f.Store.Delete(f.Context(), set...))
		if all := f.all(); len(all) != 0 {
			f.Errorf("still held: %+v", all)
		}
	}},
	{"AfterAConflictNothingIsRemoved", func(f *fixture) {
		free := f.put(octets, []byte("free"))
		desc, blobs := f.image(1)
		f.want(content.ErrConflict, f.Store.Delete(f.Context(), free.Digest, blobs[0].Digest))
		f.holds(free.Digest, []byte("free"))
		f.must(f.setName("example.com/a:1", desc.Digest))
	}},
	{"WhatTwoHoldStaysWithTheSecond", func(f *fixture) {
		m, _ := f.parts(1)
		one := f.putJSON(oci.MediaTypeManifest, m)
		m.Annotations = map[string]string{"second": "yes"}
		two := f.putJSON(oci.MediaTypeManifest, m)
		f.want(content.ErrConflict, f.Store.Delete(f.Context(), one.Digest, m.Config.Digest))
		f.must(f.Store.Delete(f.Context(), one.Digest))
		f.want(content.ErrConflict, f.Store.Delete(f.Context(), m.Config.Digest))
		f.must(f.Store.Delete(f.Context(), two.Digest, m.Config.Digest))
		f.lacks(m.Config.Digest)
	}},
	{"NamesOfWhatGoesGoWithIt", func(f *fixture) {
		desc, blobs := f.image(1)
		other, _ := f.image(2)
		f.must(f.setName("example.com/a:1", desc.Digest))
		f.must(f.setName("example.com/a:2", desc.Digest))
		f.must(f.setName("example.com/a:3", other.Digest))
		f.must(f.Store.Delete(f.Context(), desc.Digest, blobs[0].Digest))
		_, err := f.Resolve(f.Context(), f.ref("example.com/a:1"))
		f.want(content.ErrNotFound, err)
		_, err = f.Resolve(f.Context(), f.ref("example.com/a:2"))
		f.want(content.ErrNotFound, err)
		f.pointsTo("example.com/a:3", other.Digest)
		if n := f.names(""); len(n) != 1 {
			f.Errorf("%d names are left, want 1", len(n))
		}
	}},
	{"ANameOfAnotherHoldsWhatItReaches", func(f *fixture) {
		desc, _ := f.image(1)
		x := f.putJSON(oci.MediaTypeIndex, indexOf(desc))
		f.must(f.setName("example.com/a:1", x.Digest))
		f.want(content.ErrConflict, f.Store.Delete(f.Context(), desc.Digest))
		f.pointsTo("example.com/a:1", x.Digest)
	}},
	{"ASubjectHoldsItsReferrersAndNotTheReverse", func(f *fixture) {
		subject, _ := f.image(1)
		a := f.artifact(subject, sbomType, "a")
		f.want(content.ErrConflict, f.Store.Delete(f.Context(), a.Digest))
		f.must(f.Store.Delete(f.Context(), subject.Digest))
		f.must(f.Store.Delete(f.Context(), a.Digest))
	}},
	{"DeletingInTheOrderOfAllMeetsNoHolder", func(f *fixture) {
		f.forest()
		all := f.all()
		for i, info := range all {
			if err := f.Store.Delete(f.Context(), info.Digest); err != nil {
				f.Fatalf("object %d of %d, %s: %v", i+1, len(all), info.MediaType, err)
			}
		}
		if rest := f.all(); len(rest) != 0 {
			f.Errorf("still held: %+v", rest)
		}
	}},
	{"AllListsByDepth", func(f *fixture) {
		f.forest()
		all := f.all()
		holders := f.holders(all)
		last := 0
		for _, info := range all {
			d := depth(info.Digest, holders)
			if d < last {
				f.Errorf("%s at depth %d is listed after one at depth %d", info.MediaType, d, last)
			}
			last = d
		}
		if last != 5 {
			f.Errorf("the deepest object is at %d, want 5", last)
		}
	}},
}

// holders reads every manifest of all and returns what holds each object: its
// parents and, for a referrer, its subject.
func (f *fixture) holders(all []content.Info) map[oci.Digest][]oci.Digest {
	f.Helper()
	held := map[oci.Digest]bool{}
	for _, info := range all {
		held[info.Digest] = true
	}
	holders := map[oci.Digest][]oci.Digest{}
	for _, info := range all {
		data, err := content.ReadAll(f.Context(), f, info.Descriptor(), 1<<20)
		f.must(err)
		edges, err := oci.Successors(info.MediaType, data)
		f.must(err)
		for _, e := range edges {
			switch {
			case e.Role != oci.RoleSubject:
				holders[e.Digest] = append(holders[e.Digest], info.Digest)
			case held[e.Digest]:
				holders[info.Digest] = append(holders[info.Digest], e.Digest)
			}
		}
	}
	return holders
}

// depth is the longest way from an object that nothing holds to d.
func depth(d oci.Digest, holders map[oci.Digest][]oci.Digest) int {
	deepest := 0
	for _, h := range holders[d] {
		deepest = max(deepest, 1+depth(h, holders))
	}
	return deepest
}

// forest stores nested indexes that share images, a chain of referrers, and a
// blob that nobody holds.
func (f *fixture) forest() {
	f.Helper()
	one, _ := f.image(1)
	two, _ := f.image(2)
	inner := f.putJSON(oci.MediaTypeIndex, indexOf(one, two))
	f.putJSON(oci.MediaTypeIndex, indexOf(inner, one, absent(oci.MediaTypeManifest, 3)))
	sbom := f.artifact(inner, sbomType, "of the inner index")
	f.artifact(sbom, signatureType, "of the sbom")
	f.put("text/plain", []byte("nobody holds this"))
	m := manifestOf(f.put(oci.MediaTypeEmpty, []byte("{}")), f.put(octets, []byte("deep")))
	m.Subject = &sbom
	top := f.putJSON(oci.MediaTypeManifest, m)
	m.Subject = &top
	f.putJSON(oci.MediaTypeManifest, m)
}
