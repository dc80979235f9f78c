package testscripts

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"dist.example/registryserver/registrytest"
)

// cosignFrom is where cosign comes from.
const cosignFrom = "go install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.1"

// signers are those that the scripts of e2e/cosign meet besides cosign.
var signers = []peer{
	{"docker-registry", "apt-get install docker-registry, on Debian (no service of it is used)"},
	{"skopeo", "apt-get install skopeo, on Debian"},
	{"jq", "apt-get install jq, on Debian"},
	{"oras", "go install oras.land/oras/cmd/oras@v1.3.6"},
}

// TestCosign runs the scripts of e2e/cosign four times: in a registry with the list of
// referrers, which dist serves, and in one without, docker-registry; each with
// signatures in either form. Nothing of it may reach out.
func TestCosign(t *testing.T) {
	if !withPeers() {
		t.Skip("meets other programs; use make e2e-cosign")
	}
	if _, err := exec.LookPath("cosign"); err != nil {
		t.Skip("cosign is missing: " + cosignFrom)
	}
	meetPeers(t, signers)
	for _, place := range []string{"referrers", "old"} {
		for _, form := range []string{"bundle", "tag"} {
			t.Run(place+"/"+form, func(t *testing.T) {
				t.Parallel()
				testscript.Run(t, cosignParams(place, form))
			})
		}
	}
}

func cosignParams(place, form string) testscript.Params {
	p := peerParams("e2e/cosign", func(env *testscript.Env) error { return startSigning(env, place, form) })
	p.Cmds["cosign"] = func(ts *testscript.TestScript, neg bool, args []string) { cosign(ts, "cosign", neg, args) }
	p.Cmds["cosign2"] = func(ts *testscript.TestScript, neg bool, args []string) { cosign(ts, "cosign2", neg, args) }
	p.Condition = func(cond string) (bool, error) {
		switch cond {
		case "referrers", "old":
			return cond == place, nil
		case "bundle", "tag":
			return cond == form, nil
		case "sigstore": // what containers' own programs verify
			return readsSigstore()
		}
		return false, fmt.Errorf("no condition %q", cond)
	}
	return p
}

// startSigning starts two registries, of which the one at place is $REGISTRY and the
// other $OTHER, and says what form signatures have.
func startSigning(env *testscript.Env, place, form string) error {
	old, err := runPeer(filepath.Join(env.WorkDir, "docker-registry"), peerOptions{}, env.Defer)
	if err != nil {
		return err
	}
	served, err := runServe(env)
	if err != nil {
		return err
	}
	if place == "old" {
		served, old = old, served
	}
	env.Setenv("OTHER", old)
	env.Setenv("FORM", form)
	env.Setenv("RULE", map[string]string{"bundle": "unbound", "tag": "matchRepository"}[form])
	env.Setenv("REASON", map[string]string{"bundle": "no-name", "tag": "other-name"}[form])
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
		env.Setenv(name, "http://127.0.0.1:1") // for all but this machine, and nobody is there
	}
	return recorded(env, registrytest.Options{Handler: proxyTo(served, nil)})
}

// runServe lets dist serve a store of its own and returns its address.
func runServe(env *testscript.Env) (string, error) {
	var log bytes.Buffer
	cmd := exec.Command("dist", "--store", filepath.Join(env.WorkDir, "served"), "serve", "--writable", "--addr", "127.0.0.1:0")
	cmd.Dir, cmd.Env, cmd.Stderr = env.WorkDir, env.Vars, &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	env.Defer(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it is killed
	})
	stuck := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer stuck.Stop()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("dist serve does not listen: %w", err)
	}
	return strings.TrimPrefix(strings.TrimSpace(line), "http://"), nil
}

// cosign runs cosign, or one of an older version, with the flags that keep it from
// asking anybody but the registry. What it signs is in the form $FORM; what it verifies
// is in any.
func cosign(ts *testscript.TestScript, program string, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: [!] %s VERB ARGUMENT…", program)
	}
	words := args[:1:1]
	switch args[0] {
	case "sign":
		words = append(words, "--use-signing-config=false", "--tlog-upload=false", "--allow-http-registry", "-y",
			fmt.Sprintf("--new-bundle-format=%v", ts.Getenv("FORM") == "bundle"))
	case "verify":
		words = append(words, "--insecure-ignore-tlog", "--allow-http-registry")
	case "save", "load":
		words = append(words, "--allow-http-registry")
	}
	var exit *exec.ExitError
	err := ts.Exec(program, append(words, args[1:]...)...)
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%s %s: %v", program, args[0], err)
	}
	if (err != nil) != neg {
		ts.Fatalf("%s %s: %v", program, strings.Join(args, " "), err)
	}
}

// readsSigstore says whether skopeo verifies signatures of sigstore. Debian's own has
// that taken out, and tells only of what it would have accepted.
func readsSigstore() (bool, error) {
	file, err := exec.LookPath("skopeo")
	if err != nil {
		return false, err
	}
	program, err := os.ReadFile(file)
	return bytes.Contains(program, []byte("sigstoreSigned")) && !bytes.Contains(program, []byte("sigstore disabled")), err
}
