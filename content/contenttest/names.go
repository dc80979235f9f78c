package contenttest

import (
	"slices"

	"dist.example/content"
	"dist.example/oci"
)

var namePromises = []promise{
	{"ANameResolvesToItsTarget", func(f *fixture) {
		_, err := f.Resolve(f.Context(), f.ref("docker.io/library/a:v1"))
		f.want(content.ErrNotFound, err)
		desc, _ := f.image(1)
		f.must(f.setName("docker.io/library/a:v1", desc.Digest))
		got, err := f.Resolve(f.Context(), f.ref("docker.io/library/a:v1"))
		f.must(err)
		if got.Digest != desc.Digest || got.Size != desc.Size || got.MediaType != desc.MediaType {
			f.Errorf("Resolve gives %+v, want %+v", got, desc)
		}
		_, err = f.Resolve(f.Context(), f.ref("docker.io/library/a:V1"))
		f.want(content.ErrNotFound, err)
	}},
	{"AnyContentCanHaveAName", func(f *fixture) {
		desc := f.put("text/plain", []byte("hello"))
		f.must(f.setName("localhost:5000/notes:today", desc.Digest))
		f.pointsTo("localhost:5000/notes:today", desc.Digest)
	}},
	{"ANameMoves", func(f *fixture) {
		one, _ := f.image(1)
		two, _ := f.image(2)
		f.must(f.setName("docker.io/library/a:v1", one.Digest))
		first := f.names("")[0]
		f.must(f.setName("docker.io/library/a:v1", two.Digest))
		f.pointsTo("docker.io/library/a:v1", two.Digest)
		if second := f.names("")[0]; second.Seq <= first.Seq {
			f.Errorf("Seq went from %d to %d", first.Seq, second.Seq)
		}
	}},
	{"SeqGrowsWithEveryChangeOfAnyName", func(f *fixture) {
		desc, _ := f.image(1)
		var last int64
		for _, name := range []string{"example.com/c:1", "example.com/a:1", "example.com/b:1"} {
			f.must(f.setName(name, desc.Digest))
			n := f.names(name)[0]
			if n.Seq <= last {
				f.Errorf("%s has Seq %d after %d", name, n.Seq, last)
			}
			last = n.Seq
			f.must(f.SetNames(f.Context(), content.NameChange{Reference: f.ref(name)}))
		}
	}},
	{"ExpectMustHold", func(f *fixture) {
		one, _ := f.image(1)
		two, _ := f.image(2)
		nothing := oci.Digest("")
		change := content.NameChange{Reference: f.ref("docker.io/library/a:v1"), Target: one.Digest, Expect: &two.Digest}
		f.want(content.ErrConflict, f.SetNames(f.Context(), change))
		change.Expect = &nothing
		f.must(f.SetNames(f.Context(), change))
		f.want(content.ErrConflict, f.SetNames(f.Context(), change))
		change.Expect, change.Target = &two.Digest, two.Digest
		f.want(content.ErrConflict, f.SetNames(f.Context(), change))
		f.pointsTo("docker.io/library/a:v1", one.Digest)
		change.Expect = &one.Digest
		f.must(f.SetNames(f.Context(), change))
		f.pointsTo("docker.io/library/a:v1", two.Digest)
		change.Expect, change.Target = &one.Digest, ""
		f.want(content.ErrConflict, f.SetNames(f.Context(), change))
		f.pointsTo("docker.io/library/a:v1", two.Digest)
	}},
	{"ANameCanBeRemoved", func(f *fixture) {
		desc, _ := f.image(1)
		remove := content.NameChange{Reference: f.ref("docker.io/library/a:v1"), Why: "remove"}
		f.want(content.ErrNotFound, f.SetNames(f.Context(), remove))
		f.must(f.setName("docker.io/library/a:v1", desc.Digest))
		f.must(f.SetNames(f.Context(), remove))
		_, err := f.Resolve(f.Context(), remove.Reference)
		f.want(content.ErrNotFound, err)
		f.want(content.ErrNotFound, f.SetNames(f.Context(), remove))
		if _, err := f.Info(f.Context(), desc.Digest); err != nil {
			f.Errorf("the content went with its name: %v", err)
		}
	}},
	{"AllChangesOrNone", func(f *fixture) {
		one, _ := f.image(1)
		two, _ := f.image(2)
		f.must(f.setName("docker.io/library/a:v1", one.Digest))
		missing := absent(oci.MediaTypeManifest, 3).Digest
		for _, last := range []content.NameChange{
			{Reference: f.ref("docker.io/library/c:v1"), Target: missing},
			{Reference: f.ref("docker.io/library/c:v1")},
			{Reference: f.ref("docker.io/library/c:v1"), Target: one.Digest, Expect: &two.Digest},
		} {
			err := f.SetNames(f.Context(),
				content.NameChange{Reference: f.ref("docker.io/library/a:v1"), Target: two.Digest},
				content.NameChange{Reference: f.ref("docker.io/library/b:v1"), Target: two.Digest}, last)
			if err == nil {
				f.Fatalf("SetNames applies %+v", last)
			}
			f.pointsTo("docker.io/library/a:v1", one.Digest)
			if n := f.names(""); len(n) != 1 {
				f.Errorf("there are %d names, want 1", len(n))
			}
		}
		f.must(f.SetNames(f.Context(),
			content.NameChange{Reference: f.ref("docker.io/library/a:v1"), Target: two.Digest},
			content.NameChange{Reference: f.ref("docker.io/library/b:v1"), Target: one.Digest}))
		f.pointsTo("docker.io/library/a:v1", two.Digest)
		f.pointsTo("docker.io/library/b:v1", one.Digest)
	}},
	{"WhatANameReachesMustBeHeld", func(f *fixture) {
		f.want(content.ErrNotFound, f.setName("example.com/a:1", absent(oci.MediaTypeManifest, 1).Digest))
		m, _ := f.parts(1)
		noLayer, noConfig := m, m
		noLayer.Layers = append(slices.Clone(m.Layers), absent(oci.MediaTypeLayer, 2))
		noConfig.Config = absent(oci.MediaTypeImageConfig, 3)
		for _, bad := range []oci.Manifest{noLayer, noConfig} {
			desc := f.putJSON(oci.MediaTypeManifest, bad)
			f.want(content.ErrNotFound, f.setName("example.com/a:1", desc.Digest))
			x := f.putJSON(oci.MediaTypeIndex, indexOf(desc))
			f.want(content.ErrNotFound, f.setName("example.com/a:1", x.Digest))
		}
		f.must(f.setName("example.com/a:1", f.putJSON(oci.MediaTypeManifest, m).Digest))
		// It can be named as soon as what was missing has come.
		f.put(oci.MediaTypeLayer, noise(2+50000, 33))
		f.must(f.setName("example.com/a:2", f.putJSON(oci.MediaTypeManifest, noLayer).Digest))
	}},
	{"PlatformsMayBeLeftOutOfAnIndex", func(f *fixture) {
		one, _ := f.image(1)
		x := f.putJSON(oci.MediaTypeIndex, indexOf(absent(oci.MediaTypeManifest, 2), one))
		f.must(f.setName("example.com/a:1", x.Digest))
		f.pointsTo("example.com/a:1", x.Digest)
	}},
	{"ASubjectNeedNotBeHeld", func(f *fixture) {
		m, _ := f.parts(1)
		m.Subject = new(absent(oci.MediaTypeManifest, 2))
		f.must(f.setName("example.com/a:1", f.putJSON(oci.MediaTypeManifest, m).Digest))
	}},
	{"DockersTypesAreManifestsToo", func(f *fixture) {
		m, _ := f.parts(1)
		m.MediaType = oci.MediaTypeDockerManifest
		good := f.putJSON(oci.MediaTypeDockerManifest, m)
		x := indexOf(good, absent(oci.MediaTypeDockerManifest, 2))
		x.MediaType = oci.MediaTypeDockerList
		f.must(f.setName("example.com/a:1", f.putJSON(oci.MediaTypeDockerList, x).Digest))
		m.Layers = append(m.Layers, absent(oci.MediaTypeDockerLayer, 3))
		f.want(content.ErrNotFound, f.setName("example.com/a:2", f.putJSON(oci.MediaTypeDockerManifest, m).Digest))
	}},
	{"NamesAreListedInOrder", func(f *fixture) {
		desc, _ := f.image(1)
		var changes []content.NameChange
		all := []string{"docker.io/library/a:v1", "docker.io/library/a:v2", "docker.io/library/b:v1", "example.com/x/y:z", "localhost:5000/foo:v1"}
		for i := range all {
			changes = append(changes, content.NameChange{Reference: f.ref(all[len(all)-1-i]), Target: desc.Digest})
		}
		f.must(f.SetNames(f.Context(), changes...))
		var got []string
		for _, n := range f.names("") {
			got = append(got, n.Reference.String())
			if n.Target.Digest != desc.Digest || n.Target.Size != desc.Size || n.Target.MediaType != desc.MediaType || n.UpdatedAt.IsZero() {
				f.Errorf("Names tells of %+v", n)
			}
		}
		if !slices.Equal(got, all) {
			f.Errorf("Names lists %q, want %q", got, all)
		}
	}},
	{"APrefixIsTakenLiterally", func(f *fixture) {
		desc, _ := f.image(1)
		for _, name := range []string{"example.com/a_b:v1", "example.com/axb:v1", "example.com/a_b:V2", "example.com/a:v1"} {
			f.must(f.setName(name, desc.Digest))
		}
		for prefix, want := range map[string]int{
			"": 4, "example.com/a": 4, "example.com/a_": 2, "example.com/a_b:v": 1, "example.com/a_b:V": 1,
			"example.com/%": 0, "example.com/a:v1": 1, "example.com/a:v11": 0, "xample": 0,
		} {
			if got := f.names(prefix); len(got) != want {
				f.Errorf("prefix %q lists %d names, want %d", prefix, len(got), want)
			}
		}
	}},
	{"ADigestCanBePartOfTheName", func(f *fixture) {
		desc, _ := f.image(1)
		ref := f.ref("example.com/a").WithDigest(desc.Digest)
		f.must(f.SetNames(f.Context(), content.NameChange{Reference: ref, Target: desc.Digest}))
		got, err := f.Resolve(f.Context(), ref)
		f.must(err)
		if got.Digest != desc.Digest {
			f.Errorf("Resolve gives %s", got.Digest)
		}
		if n := f.names("")[0].Reference; n != ref {
			f.Errorf("Names lists %+v, want %+v", n, ref)
		}
	}},
}

func (f *fixture) ref(s string) oci.Reference {
	f.Helper()
	ref, err := oci.ParseReference(s)
	f.must(err)
	return ref
}

func (f *fixture) setName(name string, target oci.Digest) error {
	f.Helper()
	return f.SetNames(f.Context(), content.NameChange{Reference: f.ref(name), Target: target, Why: "test"})
}

func (f *fixture) pointsTo(name string, d oci.Digest) {
	f.Helper()
	got, err := f.Resolve(f.Context(), f.ref(name))
	f.must(err)
	if got.Digest != d {
		f.Errorf("%s is at %s, want %s", name, got.Digest, d)
	}
}

func (f *fixture) names(prefix string) []content.Name {
	f.Helper()
	var all []content.Name
	for n, err := range f.Names(f.Context(), prefix) {
		f.must(err)
		all = append(all, n)
	}
	return all
}
