package testscripts

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"dist.example/oci"
	"dist.example/registryserver"
	"dist.example/registryserver/registrytest"
)

// registryKey finds a script's registry among its values.
type registryKey struct{}

// startRegistry gives a script its own registry, at $REGISTRY.
func startRegistry(env *testscript.Env) error {
	r, err := registrytest.NewServer(registrytest.Options{})
	if err != nil {
		return err
	}
	env.Defer(r.Close)
	env.Values[registryKey{}] = r
	env.Setenv("REGISTRY", r.Host)
	return nil
}

func registryOf(ts *testscript.TestScript) *registrytest.Registry {
	return ts.Value(registryKey{}).(*registrytest.Registry)
}

// another starts one more registry, at $VARIABLE: an old one knows no referrers.
func another(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: registry VARIABLE [old]")
	}
	r, err := registrytest.NewServer(registrytest.Options{NoReferrers: len(args) > 1 && args[1] == "old"})
	ts.Check(err)
	ts.Defer(r.Close)
	ts.Setenv(args[0], r.Host)
}

// seed puts something into the registry and sets $SEEDED to its digest.
func seed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: seed image|docker NAME SIZE… | platforms NAME OS/ARCH… | manifest NAME MEDIATYPE FILE | about DIGEST TYPE TEXT | attach REPOSITORY DIGEST SUFFIX TEXT…")
	}
	r, name := registryOf(ts), args[1]
	var desc oci.Descriptor
	switch args[0] {
	case "image":
		desc = r.PushImage(name, randomLayers(ts, args[2:])...)
	case "docker":
		desc = r.PushDockerImage(name, randomLayers(ts, args[2:])...)
	case "platforms":
		desc = r.PushPlatforms(name, args[2:]...)
	case "manifest":
		desc = r.PutBlob(args[2], []byte(ts.ReadFile(args[3])))
		r.Tag(name, desc.Digest)
	case "about":
		info, err := r.Store().Info(context.Background(), oci.Digest(name))
		ts.Check(err)
		desc = r.PushArtifact(info.Descriptor(), args[2], []byte(args[3]))
	case "attach":
		desc = attachment(ts, r, args[3], args[4:])
		r.Tag(name+":"+oci.AttachmentTag(oci.Digest(args[2]), args[3]), desc.Digest)
	default:
		ts.Fatalf("seed %s: no such thing", args[0])
	}
	ts.Setenv("SEEDED", desc.Digest.String())
}

// attachment puts into a registry what cosign gives a tag: a manifest with a layer for
// each text, which stands for the signature as well.
func attachment(ts *testscript.TestScript, r *registrytest.Registry, suffix string, texts []string) oci.Descriptor {
	types := map[string]string{
		oci.SuffixSignature:   "application/vnd.dev.cosign.simplesigning.v1+json",
		oci.SuffixAttestation: "application/vnd.dsse.envelope.v1+json",
		oci.SuffixSBOM:        "application/vnd.cyclonedx+json",
	}
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: r.PutBlob(oci.MediaTypeImageConfig, []byte("{}"))}
	m.SchemaVersion = 2
	for _, text := range texts {
		layer := r.PutBlob(types[suffix], []byte(text))
		layer.Annotations = map[string]string{"dev.cosignproject.cosign/signature": text}
		m.Layers = append(m.Layers, layer)
	}
	data, desc, err := oci.Encode(m.MediaType, m)
	ts.Check(err)
	r.PutBlob(desc.MediaType, data)
	return desc
}

func randomLayers(ts *testscript.TestScript, sizes []string) [][]byte {
	var layers [][]byte
	for i, size := range sizes {
		layers = append(layers, registrytest.Bytes(uint64(i+1), number(ts, size)))
	}
	return layers
}

// mirror lets the script's registry answer for HOST, in what the capabilities
// say (pull, resolve, push). What it may not answer goes to where nobody is.
func mirror(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mirror HOST CAPABILITY…")
	}
	dir := filepath.Join(ts.Getenv("XDG_CONFIG_HOME"), "dist", "certs.d", args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	hosts := fmt.Sprintf("server = \"http://127.0.0.1:1\"\n[host.\"http://%s\"]\ncapabilities = [\"%s\"]\n",
		registryOf(ts).Host, strings.Join(args[1:], `", "`))
	ts.Check(os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(hosts), 0o644))
}

// secure lets a second registry serve the same over TLS, at $SECURE; its authority
// is in ca.pem.
func secure(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: secure")
	}
	r, err := registrytest.NewServer(registrytest.Options{TLS: true, Store: registryOf(ts).Store()})
	ts.Check(err)
	ts.Defer(r.Close)
	ts.Setenv("SECURE", r.Host)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw})
	ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), authority, 0o644))
}

// tokens lets the registry ask for a token from now on, which its own server gives
// to everybody, as Docker Hub does.
func tokens(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: tokens")
	}
	registryOf(ts).Ask(registrytest.Auth{Bearer: true})
}

// auth lets the registry ask for a user name and a password from now on, by
// itself (basic) or at its token server (bearer), or for an identity token.
func auth(ts *testscript.TestScript, neg bool, args []string) {
	switch {
	case !neg && len(args) == 3 && args[0] == "basic":
		registryOf(ts).Ask(registrytest.Auth{User: args[1], Password: args[2]})
	case !neg && len(args) == 3 && args[0] == "bearer":
		registryOf(ts).Ask(registrytest.Auth{User: args[1], Password: args[2], Bearer: true})
	case !neg && len(args) == 2 && args[0] == "identity":
		registryOf(ts).Ask(registrytest.Auth{User: "nobody", Password: args[1] + "!", Refresh: args[1], Bearer: true})
	default:
		ts.Fatalf("usage: auth basic USER PASSWORD | bearer USER PASSWORD | identity TOKEN")
	}
}

// fault lets requests of a kind (blob, manifest, tags … or any) go wrong; heal
// takes all faults away.
func fault(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fault KIND reset|corrupt|delete|answer STATUS|cut BYTES|stall OFFSET|hold OFFSET [times N]")
	}
	m := registrytest.Match{Kind: registryserver.Kind(args[0])}
	if args[0] == "any" {
		m.Kind = ""
	}
	if n := len(args); n > 3 && args[n-2] == "times" {
		m.Times = number(ts, args[n-1])
		args = args[:n-2]
	}
	var f registrytest.Fault
	switch {
	case args[1] == "reset":
		f = registrytest.Reset()
	case args[1] == "corrupt":
		f = registrytest.Corrupt(0)
		m.Method = "GET"
	case args[1] == "delete":
		// A registry that deletes manifests by their digest only.
		f = func(w http.ResponseWriter, req *http.Request, next http.Handler) {
			if strings.Contains(req.URL.Path, "sha256:") {
				next.ServeHTTP(w, req)
				return
			}
			registrytest.Answer(http.StatusMethodNotAllowed)(w, req, next)
		}
		m.Method = http.MethodDelete
	case args[1] == "answer" && len(args) == 3:
		f = registrytest.Answer(number(ts, args[2]))
	case args[1] == "cut" && len(args) == 3:
		f = registrytest.CutAfter(int64(number(ts, args[2])))
	case args[1] == "stall" && len(args) == 3:
		f = stallFrom(number(ts, args[2]), nil)
	case args[1] == "hold" && len(args) == 3:
		f = stallFrom(number(ts, args[2]), registryOf(ts).Healed())
	default:
		ts.Fatalf("fault %s: no such thing", strings.Join(args[1:], " "))
	}
	registryOf(ts).Inject(m, f)
}

// stallFrom lets no byte of a blob at offset or after it out, until the client has
// gone or release is closed.
func stallFrom(offset int, release <-chan struct{}) registrytest.Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		start := 0
		if r := req.Header.Get("Range"); r != "" {
			if _, err := fmt.Sscanf(r, "bytes=%d-", &start); err != nil {
				panic(err)
			}
		}
		registrytest.Stall(int64(max(0, offset-start)), release)(w, req, next)
	}
}

func number(ts *testscript.TestScript, s string) int {
	n, err := strconv.Atoi(s)
	ts.Check(err)
	return n
}

func heal(ts *testscript.TestScript, _ bool, _ []string) { registryOf(ts).Heal() }

// regstat prints what the registry was asked since the last regstat, and forgets
// it: one line for each kind of request, one for all, and the bytes of blobs.
func regstat(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: regstat")
	}
	printStat(ts, registryOf(ts))
}

// printStat is regstat for any registry.
func printStat(ts *testscript.TestScript, r *registrytest.Registry) {
	kinds := map[string]int{}
	var order []string
	for _, q := range r.Requests() {
		kind := q.Method + " " + string(q.Kind)
		if kinds[kind] == 0 {
			order = append(order, kind)
		}
		kinds[kind]++
	}
	for _, kind := range order {
		fmt.Fprintf(ts.Stdout(), "%s %d\n", kind, kinds[kind])
	}
	fmt.Fprintf(ts.Stdout(), "requests %d\nblob bytes %d\n", len(r.Requests()), r.BlobBytes(""))
	r.Forget()
}
