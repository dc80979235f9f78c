package client_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
)

// readAs is a list as one line for each entry, and what was passed over. That there is
// nothing in it is an error.
func readAs(t *testing.T, list string, o client.ListOptions) (entries, passed string) {
	t.Helper()
	var told []string
	o.PassedOver = func(where, what string) { told = append(told, where+" "+what) }
	got, err := client.ReadList(strings.NewReader(list), "f", o)
	if errors.Is(err, content.ErrInvalid) && strings.Contains(err.Error(), ": no image ") {
		return "", strings.Join(append(told, err.Error()), "\n")
	}
	must(t, err)
	var text []string
	for _, e := range got {
		text = append(text, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Where, e.Word, oci.FormatPlatform(e.Platform))))
	}
	return strings.Join(text, "\n"), strings.Join(told, "\n")
}

// cannot follows what was passed over where nothing else is in a list.
const cannot = "\nf: invalid: no image in it can be taken"

func TestReadListInYAML(t *testing.T) {
	t.Parallel()
	zero := "sha256:" + strings.Repeat("0", 64)
	for name, c := range map[string]struct{ list, want, passed string }{
		"a pod":                  {"apiVersion: v1\nkind: Pod\nspec:\n  initContainers:\n  - image: busybox\n  containers:\n  - name: a\n    image: quay.io/a/b:v1\n", "f:5 docker.io/library/busybox:latest\nf:8 quay.io/a/b:v1", ""},
		"the same image twice":   {"# c\n---\nspec: {containers: [{image: redis:7}, {image: docker.io/library/redis:7}]}\n---\nimage: redis:7\n", "f:3 docker.io/library/redis:7", ""},
		"a digest":               {"image: redis:7@" + zero, "f:1 docker.io/library/redis:7@" + zero, ""},
		"JSON":                   {`{"items":[{"spec":{"containers":[{"image":"redis:7"}]}}]}`, "f:1 docker.io/library/redis:7", ""},
		"an alias":               {"x: &i redis:7\nimage: *i\n", "f:2 docker.io/library/redis:7", ""},
		"a mapping by an alias":  {"x: &i {repository: a/b, tag: c}\nimage: *i\n", "f:2 docker.io/a/b:c", ""},
		"a loop of aliases":      {"a: &a\n  image: *a\n  b: [*a, *a]\nimage: redis:7\n", "f:4 docker.io/library/redis:7", ""},
		"values of a chart":      {"image:\n  registry: quay.io\n  repository: a/b\n  tag: 1.30\n  pullPolicy: Always\n", "f:1 quay.io/a/b:1.30", ""},
		"values with a digest":   {"image:\n  repository: quay.io/a/b\n  digest: " + zero + "\n  tag: ''\n", "f:1 quay.io/a/b@" + zero, ""},
		"values without a tag":   {"a:\n  image:\n    repository: quay.io/a/b\n    tag: \"\"\n", "", `f:2 image "quay.io/a/b" has neither tag nor digest: its chart chooses` + cannot},
		"an image as a volume":   {"volumes:\n- image:\n    reference: quay.io/a/b:c\n", "f:2 quay.io/a/b:c", ""},
		"no name":                {"image: ${IMAGE}\n", "", `f:1 image "${IMAGE}" is not the name of one` + cannot},
		"a template":             {"image: {{ .Values.image }}\nx: {image: redis:7}\n", "f:2 docker.io/library/redis:7", "f:1 image is for a template to fill in"},
		"an id":                  {"image: " + zero, "", fmt.Sprintf("f:1 image %q is not the name of one", zero) + cannot},
		"no string":              {"image: true\nx: {image: 7}\ny: {image: null}\nz: {image: ''}\nv: {image: [redis]}\n", "", "f: invalid: no image is found in it"},
		"a status":               {"apiVersion: v1\nkind: Pod\nstatus: {containerStatuses: [{image: redis:6}]}\nspec: {containers: [{image: redis:7}]}\n", "f:4 docker.io/library/redis:7", ""},
		"a field called status":  {"status: {image: redis:7}\n", "f:1 docker.io/library/redis:7", ""},
		"a definition":           {"kind: CustomResourceDefinition\nspec: {properties: {image: {type: string, default: {image: redis}}}}\n---\nimage: redis:7\n", "f:4 docker.io/library/redis:7", ""},
		"nothing":                {"apiVersion: v1\nkind: Service\n", "", "f: invalid: no image is found in it"},
		"a byte order mark":      {"\xef\xbb\xbfimage: redis:7\r\n", "f:1 docker.io/library/redis:7", ""},
		"text with images in it": {"data:\n  x.yaml: |\n    image: redis:7\n---\nimage: redis:8\n", "f:5 docker.io/library/redis:8", ""},
	} {
		entries, passed := readAs(t, c.list, client.ListOptions{})
		if entries != c.want || passed != c.passed {
			t.Errorf("%s: read\n%s\nwant\n%s\npassed over\n%s\nwant\n%s", name, entries, c.want, passed, c.passed)
		}
	}
}

const haulerHead = "apiVersion: content.hauler.cattle.io/v1\nkind: "

func TestReadListOfHauler(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ list, want, passed string }{
		"images": {"Images\nspec:\n  images:\n  - name: ghcr.io/a/b\n  - name: busybox:stable\n    platform: linux/x86_64\n", "f:5 ghcr.io/a/b:latest\nf:6 docker.io/library/busybox:stable linux/amd64", ""},
		"defaults": {
			"Images\nmetadata:\n  annotations:\n    hauler.dev/platform: linux/arm64\n    hauler.dev/registry: reg.example:5000\nspec:\n  images:\n  - name: busybox\n  - name: docker.io/library/busybox\n  - {name: quay.io/a/b:c, platform: linux/amd64}\n",
			"f:9 reg.example:5000/library/busybox:latest linux/arm64\nf:10 docker.io/library/busybox:latest linux/arm64\nf:11 quay.io/a/b:c linux/amd64", "",
		},
		"what is not as it says": {
			"Images\nspec:\n  images:\n  - {name: a/b, key: k.pub}\n  - {name: a/c, local: true}\n  - {name: a/d, rewrite: x/y}\n", "f:5 docker.io/a/b:latest\nf:7 docker.io/a/d:latest",
			"f:5 whose signature hauler wants for image \"a/b\" is not looked at: `dist trust` says whose count\nf:6 image \"a/c\" is one of a local daemon\nf:7 image \"a/d\" keeps its name, and is not called \"x/y\"",
		},
		"charts": {
			"Charts\nspec:\n  charts:\n  - {name: c, repoURL: oci://ghcr.io/a/, version: 1.2.0+up1}\n  - {name: oci://ghcr.io/a/d, version: v2, add-images: true}\n  - {name: e, repoURL: https://charts.example, version: 1.0.0}\n  - {name: e, repoURL: oci://ghcr.io/a}\n  - {name: e, repoURL: oci://ghcr.io/a, version: ^1.2}\n  - {name: e.tgz}\n",
			"f:5 ghcr.io/a/c:1.2.0_up1\nf:6 ghcr.io/a/d:v2",
			"f:6 chart \"oci://ghcr.io/a/d\" comes alone: add-images is not done\nf:7 chart \"e\" is of \"https://charts.example\", and not of a registry\nf:8 chart \"e\" has no version: which one is meant is for a list to say\nf:9 chart \"e\" has \"^1.2\" as its version, which is not one version\nf:10 chart \"e.tgz\" is of \"this machine\", and not of a registry",
		},
		"files":        {"Files\nspec:\n  files:\n  - path: https://a.example/x\n", "", `f:5 file "https://a.example/x" is not of a registry` + cannot},
		"another kind": {"ThickCharts\nspec:\n  charts:\n  - image: redis\n", "", `f:1 hauler's kind "ThickCharts" is not read` + cannot},
		"lists": {
			"ImageTxts\nspec:\n  imageTxts:\n  - ref: a.txt\n  - {ref: b.txt, sources: {include: [core]}}\n  - {path: b.txt, sources: {exclude: [core, more]}}\n  - ref: https://a.example/x.txt\n  - ref: ../a.txt\n",
			"a.txt:2 docker.io/library/redis:7\nb.txt:1 docker.io/a/b:1\nb.txt:2 docker.io/a/c:1\nb.txt:3 docker.io/a/d:1",
			"f:8 the list \"https://a.example/x.txt\" is not beside this one: get it and name it with --from\nf:9 the list \"../a.txt\" is not beside this one: get it and name it with --from",
		},
	} {
		o := client.ListOptions{Open: func(path string) (io.ReadCloser, error) {
			beside := map[string]string{"a.txt": "# c\nredis:7\n", "b.txt": "a/b:1 core\na/c:1 more,core\na/d:1 other\na/e:1 more\n"}
			return io.NopCloser(strings.NewReader(beside[path])), nil
		}}
		entries, passed := readAs(t, haulerHead+c.list, o)
		if entries != c.want || passed != c.passed {
			t.Errorf("%s: read\n%s\nwant\n%s\npassed over\n%s\nwant\n%s", name, entries, c.want, passed, c.passed)
		}
	}
}

func TestReadListInYAMLRefuses(t *testing.T) {
	t.Parallel()
	missing := client.ListOptions{Open: func(string) (io.ReadCloser, error) { return nil, os.ErrNotExist }}
	for name, c := range map[string]struct {
		list  string
		class error
	}{
		"no YAML":            {"a: b\n c: d\n  - e", content.ErrInvalid},
		"a template":         {"{{- if .Values.a }}\nimage: redis\n{{- end }}\n", content.ErrInvalid},
		"deep lists":         {"image: " + strings.Repeat("[", 300) + strings.Repeat("]", 300), content.ErrInvalid},
		"deeper lists":       {"image: " + strings.Repeat("[", 100000), content.ErrInvalid},
		"many parts":         {"a: [" + strings.Repeat("a,", 2<<20) + "]", content.ErrInvalid},
		"a large list":       {"a:\n" + strings.Repeat("# "+strings.Repeat("x", 1000)+"\n", 11<<10), content.ErrInvalid},
		"hauler's bad name":  {haulerHead + "Images\nspec:\n  images:\n  - name: 'no name'\n", content.ErrInvalid},
		"hauler's bad arch":  {haulerHead + "Images\nspec:\n  images:\n  - {name: redis, platform: arm64}\n", content.ErrInvalid},
		"hauler's bad chart": {haulerHead + "Charts\nspec:\n  charts:\n  - {name: 'A B', repoURL: 'oci://a.example', version: 1}\n", content.ErrInvalid},
		"a list not there":   {haulerHead + "ImageTxts\nspec:\n  imageTxts:\n  - ref: a.txt\n", os.ErrNotExist},
	} {
		_, err := client.ReadList(strings.NewReader(c.list), "f", missing)
		if !errors.Is(err, c.class) || !strings.HasPrefix(err.Error(), "f:") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Aliases of aliases that would grow to billions are read as they stand, and what a
// list may be at most does not take more memory than a small machine has.
func TestReadListBoundsMemory(t *testing.T) { // not parallel, since it measures
	bomb := "a0: &a0 [image]\n"
	for i := range 40 {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 20), ","))
	}
	parts := "a: [" + strings.Repeat("a,", 1<<20-10) + "]"
	for name, list := range map[string]string{"a bomb": bomb + "image: redis:7\n", "many parts": parts + "\nimage: redis:7\n"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := client.ReadList(strings.NewReader(list), "f", client.ListOptions{})
		runtime.ReadMemStats(&after)
		if err != nil || len(got) != 1 {
			t.Errorf("%s: %d entries, %v", name, len(got), err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 512<<20 {
			t.Errorf("%s: %d MiB were allocated", name, used>>20)
		}
	}
}
