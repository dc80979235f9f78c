package registryserver

import (
	"slices"
	"testing"

	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/content/contenttest"
	"dist.example/oci"
)

func TestPathsMapToNames(t *testing.T) {
	upper := map[string][]string{"myhost": {"MyHost"}, "reg.example.com": {"Reg.example.com"}, "myhost_5000": {"MyHost:5000"}}
	tests := []struct {
		path, prefix string
		want         []string
	}{
		{"redis", "docker.io", []string{"docker.io/library/redis"}},
		{"library/redis", "docker.io", []string{"docker.io/library/redis"}},
		{"docker.io/library/redis", "docker.io", []string{"docker.io/library/redis"}},
		{"docker.io/redis", "docker.io", []string{"docker.io/library/redis"}},
		{"team/app", "docker.io", []string{"docker.io/team/app"}},
		{"a/b/c", "docker.io", []string{"docker.io/a/b/c"}},
		{"foo.bar", "docker.io", []string{"docker.io/library/foo.bar"}},
		{"example.com/app", "docker.io", []string{"example.com/app"}},
		{"localhost/app", "docker.io", []string{"localhost/app"}},
		{"localhost_5000/foo", "docker.io", []string{"docker.io/localhost_5000/foo", "localhost:5000/foo"}},
		{"example.com_5000/foo", "docker.io", []string{"example.com:5000/foo"}},
		{"127.0.0.1_5000/foo", "docker.io", []string{"127.0.0.1:5000/foo"}},
		{"example.com_x/foo", "docker.io", nil},
		{"team_5/app", "docker.io", []string{"docker.io/team_5/app", "team:5/app"}},
		{"myhost/app", "docker.io", []string{"docker.io/myhost/app", "MyHost/app"}},
		{"myhost_5000/app", "docker.io", []string{"docker.io/myhost_5000/app", "myhost:5000/app", "MyHost:5000/app"}},
		{"reg.example.com/app", "docker.io", []string{"reg.example.com/app", "Reg.example.com/app"}},
		{"redis", "example.com", []string{"example.com/redis"}},
		{"team/app", "example.com", []string{"example.com/team/app"}},
		{"docker.io/team/app", "example.com", []string{"docker.io/team/app"}},
		{"foo", "localhost:5000", []string{"localhost:5000/foo"}},
		{"localhost_5000/foo", "localhost:5000", []string{"localhost:5000/localhost_5000/foo", "localhost:5000/foo"}},
	}
	for _, tt := range tests {
		var got []string
		for _, repo := range candidates(tt.path, tt.prefix, upper) {
			got = append(got, repo.Name())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s with prefix %s means %q, want %q", tt.path, tt.prefix, got, tt.want)
		}
	}
}

func TestNamesMapToPaths(t *testing.T) {
	tests := []struct{ name, prefix, want string }{
		{"redis", "", "library/redis"},
		{"docker.io/team/app", "", "team/app"},
		{"docker.io/foo.bar/app", "", "docker.io/foo.bar/app"},
		{"docker.io/localhost/app", "", "docker.io/localhost/app"},
		{"example.com/app", "", "example.com/app"},
		{"example.com/app", "example.com", "app"},
		{"docker.io/library/redis", "example.com", "docker.io/library/redis"},
		{"localhost:5000/foo", "", "localhost_5000/foo"},
		{"example.com:443/a/b", "", "example.com_443/a/b"},
		{"MyHost/app", "", "myhost/app"},
		{"MyHost:80/app", "", "myhost_80/app"},
		{"[::1]:5000/app", "", ""},
	}
	for _, tt := range tests {
		repo, err := oci.ParseRepository(tt.name)
		if err != nil {
			t.Fatal(err)
		}
		if got := PathOf(repo, tt.prefix); got != tt.want {
			t.Errorf("%s with prefix %q is at %q, want %q", tt.name, tt.prefix, got, tt.want)
		}
	}
}

func TestEveryPathLeadsBackToItsName(t *testing.T) {
	upper := map[string][]string{"myhost": {"MyHost"}, "myhost_80": {"MyHost:80"}}
	for _, prefix := range []string{"docker.io", "example.com", "localhost:5000"} {
		for _, name := range []string{
			"docker.io/library/redis", "docker.io/a.b/c", "docker.io/localhost/c", "example.com/redis", "example.com/a.b/c",
			"localhost:5000/foo", "localhost:5000/foo/bar", "localhost/foo", "MyHost/app", "MyHost:80/app",
		} {
			repo, err := oci.ParseRepository(name)
			if err != nil {
				t.Fatal(err)
			}
			path := PathOf(repo, prefix)
			if !slices.Contains(candidates(path, prefix, upper), repo) {
				t.Errorf("with prefix %s, %s is at %s, which means %v", prefix, name, path, candidates(path, prefix, upper))
			}
		}
	}
}

func TestTwoNamesAtOnePathAreAnError(t *testing.T) {
	ctx := t.Context()
	store := memory.New()
	target := contenttest.Put(t, store, "", oci.MediaTypeOctets, nil)
	name := func(s string) {
		t.Helper()
		ref, err := oci.ParseReference(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.SetNames(ctx, content.NameChange{Reference: ref, Target: target.Digest}); err != nil {
			t.Fatal(err)
		}
	}
	meaning := func(path string) string {
		n := &names{store: store, prefix: oci.DockerHub}
		repo, err := n.repository(ctx, path)
		if err != nil {
			return err.Error()
		}
		return repo.Name()
	}
	check := func(path, want string) {
		t.Helper()
		if got := meaning(path); got != want {
			t.Errorf("%s means %s, want %s", path, got, want)
		}
	}
	check("localhost_5000/foo", "docker.io/localhost_5000/foo")
	name("localhost:5000/foo:v1")
	check("localhost_5000/foo", "localhost:5000/foo")
	check("localhost_5000/foobar", "docker.io/localhost_5000/foobar")
	name("docker.io/localhost_5000/foo:v2")
	check("localhost_5000/foo", `"localhost_5000/foo" is ambiguous: it stands for docker.io/localhost_5000/foo and for localhost:5000/foo`)
	name("MyHost/app:v1")
	check("myhost/app", "MyHost/app")
	name("docker.io/myhost/app:v1")
	check("myhost/app", `"myhost/app" is ambiguous: it stands for docker.io/myhost/app and for MyHost/app`)
}
