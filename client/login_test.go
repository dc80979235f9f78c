package client_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"dist.example/client"
	"dist.example/content"
	"dist.example/registryserver/registrytest"
)

func TestLoginServesLaterVerbs(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.Options{Auth: &registrytest.Auth{User: "ann", Password: "pw"}})
	reg.PushImage("app:v1", registrytest.Bytes(1, 1000))
	file := filepath.Join(t.TempDir(), "auth.json")
	c := newClient(t, func(o *client.Options) { o.Registry.AuthFile = file })
	if _, err := c.Login(t.Context(), reg.Host, "ann", "no"); !errors.Is(err, content.ErrDenied) || !strings.HasPrefix(err.Error(), "login "+reg.Host+": ") {
		t.Fatalf("a wrong password: %v", err)
	}
	if got, err := c.Login(t.Context(), reg.Host, "ann", "pw"); err != nil || !got.Checked || got.File != file {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := c.Pull(t.Context(), []string{reg.Ref("app:v1")}, client.PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if gone, err := c.Logout(t.Context(), reg.Host); err != nil || len(gone) != 1 {
		t.Fatalf("%v, %v", gone, err)
	}
	if _, err := c.Logout(t.Context(), reg.Host); !errors.Is(err, content.ErrNotFound) {
		t.Fatalf("once more: %v", err)
	}
}
