package client_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
)

func TestReadList(t *testing.T) {
	t.Parallel()
	list := "\xef\xbb\xbf# heading\r\n\r\nredis:7\r\n\t redis:8 linux/arm64 # why\nredis:7.2#x\n"
	got, err := client.ReadList(strings.NewReader(list), "f", client.ListOptions{})
	must(t, err)
	var text []string
	for _, e := range got {
		text = append(text, fmt.Sprintf("%s %s %s", e.Where, e.Word, oci.FormatPlatform(e.Platform)))
	}
	if want := "f:3 redis:7 |f:4 redis:8 linux/arm64|f:5 redis:7.2#x "; strings.Join(text, "|") != want {
		t.Errorf("read %q, want %q", strings.Join(text, "|"), want)
	}
}

func TestReadListRefuses(t *testing.T) {
	t.Parallel()
	for name, list := range map[string]string{
		"three words":   "a b c\n",
		"no platform":   "redis arm64\n",
		"a long line":   "ok\n" + strings.Repeat("a", 5000),
		"a large list":  strings.Repeat("# "+strings.Repeat("x", 1000)+"\n", 11<<10),
		"a zero byte":   "red\x00is\n",
		"no characters": "redis\xff\n",
	} {
		if _, err := client.ReadList(strings.NewReader(list), "f", client.ListOptions{}); !errors.Is(err, content.ErrInvalid) || !strings.HasPrefix(err.Error(), "f:") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReadList(f *testing.F) {
	f.Add("\xef\xbb\xbfredis:7 linux/amd64 # c\r\n\r\nquay.io/a/b@sha256:00\n")
	f.Add("redis:>=1.2,<2\n#\n # x")
	f.Add("apiVersion: v1\nspec:\n- &a image: redis:7\n- *a\n--- # x\nimage: {repository: a/b, tag: 1.0}\n")
	f.Add("apiVersion: content.hauler.cattle.io/v1\nkind: Images\nspec: {images: [{name: a/b, platform: linux/arm64}]}")
	f.Add("apiVersion: content.hauler.cattle.io/v1\nkind: Charts\nspec: {charts: [{name: a, repoURL: 'oci://b.example', version: 1.0.0+2}]}")
	f.Add("apiVersion: content.hauler.cattle.io/v1\nkind: ImageTxts\nspec: {imageTxts: [{ref: a, sources: {exclude: [b]}}]}")
	f.Fuzz(func(t *testing.T, list string) {
		// What a list names beside it is the list itself.
		o := client.ListOptions{Open: func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(list)), nil }}
		got, err := client.ReadList(strings.NewReader(list), "f", o)
		if err != nil {
			if !errors.Is(err, content.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		var again strings.Builder
		for _, e := range got {
			if e.Word == "" || strings.ContainsAny(e.Word, " \t\r\n\x00") || e.Where == "" {
				t.Fatalf("entry %+v", e)
			}
			fmt.Fprintln(&again, e.Word, oci.FormatPlatform(e.Platform))
		}
		back, err := client.ReadList(strings.NewReader(again.String()), "f", client.ListOptions{})
		if err != nil || len(back) != len(got) {
			t.Fatalf("written again: %d of %d entries, %v", len(back), len(got), err)
		}
		for i := range got {
			if back[i].Word != got[i].Word || oci.FormatPlatform(back[i].Platform) != oci.FormatPlatform(got[i].Platform) {
				t.Fatalf("%+v came back as %+v", got[i], back[i])
			}
		}
	})
}
