package blobstore_test

import (
	"slices"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

func TestNamesAreListedAsTheyWereGiven(t *testing.T) {
	s := open(t, t.TempDir())
	info, err := store(s, content.IngestOptions{Total: -1, MediaType: "text/plain"}, []byte("named"))
	must(t, err)
	var want []string
	for _, name := range []string{
		"docker.io/a/b:v1", "docker.io/a/b:v2", "docker.io/a/b/c:v1", "docker.io/a/b@" + info.Digest.String(),
		"docker.io/a/b-c:v1", "localhost:5000/a:v1", "localhost:5000/a:v2", "Host.example/a:v1",
	} {
		ref, err := oci.ParseReference(name)
		if err == nil {
			err = s.SetNames(t.Context(), content.NameChange{Reference: ref, Target: info.Digest})
		}
		must(t, err)
		want = append(want, name)
	}
	var got []string
	for n, err := range s.Names(t.Context(), "") {
		must(t, err)
		ref, err := oci.ParseReference(n.Reference.String())
		if err != nil || ref != n.Reference {
			t.Errorf("%+v is no reference that reads as %q", n.Reference, n.Reference)
		}
		if n.Target.Digest != info.Digest || n.Target.Size != info.Size || n.Target.MediaType != info.MediaType {
			t.Errorf("%s stands for %+v", n.Reference, n.Target)
		}
		got = append(got, n.Reference.String())
	}
	tags, err := s.Tags(t.Context(), "docker.io/a/b")
	must(t, err)
	if got := slices.Sorted(slices.Values(tags["text/plain"])); !slices.Equal(got, []string{"v1", "v2"}) || len(tags) != 1 {
		t.Errorf("tags are %v", tags)
	}
	if tags, err := s.Tags(t.Context(), "docker.io/a"); err != nil || len(tags) != 0 {
		t.Errorf("tags of what is no repository: %v, %v", tags, err)
	}
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("names are\n%q, want\n%q", got, want)
	}
}
