package sign_test

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/sign"
)

func TestAPolicyIsRefusedWhole(t *testing.T) {
	t.Parallel()
	dir := filepath.ToSlash(t.TempDir())
	one := encoded(key(t, sign.ECDSA))
	file := dir + "/one.pub"
	writeFile(t, file, key(t, sign.ECDSA).Public().PEM())
	writeFile(t, dir+"/private.pub", plain(t, key(t, sign.ECDSA)))
	writeFile(t, dir+"/text.pub", []byte("text"))
	writeFile(t, dir+"/huge.pub", append(key(t, sign.ECDSA).Public().PEM(), make([]byte, sign.MaxKeyFile)...))
	writeFile(t, dir+"/two.pub", append(key(t, sign.ECDSA).Public().PEM(), key(t, sign.Ed25519).Public().PEM()...))
	writeFile(t, dir+"/weak.pub", testKey(t, "rsa1024.pub"))
	signed := func(fields string) string { return `{"default":[{"type":"sigstoreSigned",` + fields + `}]}` }
	for _, row := range []struct{ text, told string }{
		// the document
		{``, "not JSON"},
		{`null`, "want an object"},
		{`[]`, "want an object"},
		{`{}`, "no default"},
		{`{"transports":{}}`, "no default"},
		{`{"default":` + reject + `}{}`, "follows"},
		{`{"default":` + reject + `} x`, "follows"},
		{`{"default":` + reject, "not JSON"},
		{`{"default":` + reject + `,"default":` + accept + `}`, "twice"},
		{`{"default":` + reject + `,"defaul\u0074":` + accept + `}`, "twice"},
		{`{"default":` + reject + `,"transports":{},"transports":{}}`, "twice"},
		{`{"default":` + reject + `,"Default":` + accept + `}`, "no such key"},
		{`{"default":` + reject + `,"comment":"x"}`, `"comment"`},
		{`{"default":` + reject + `,"transports":null}`, "want an object"},
		{`{"default":` + reject + `,"transports":{"docker":[]}}`, "want an object"},
		{`{"default":` + reject + `,"transports":{"":{}}}`, "no name"},
		{`{"default":` + reject + `,"transports":{"docker":{},"docker":{}}}`, "twice"},
		{`{"default":` + reject + `,"transports":{"docker":{"a.example":` + reject + `,"a.example":` + accept + `}}}`, "twice"},
		{`{"default":` + reject + `,"transports":{"docker":{"a.example":[]}}}`, "empty"},
		{`{"default":` + reject + `,"transports":{"oci":{"/x":[]}}}`, "empty"},
		{`{"default":` + reject + `,"transports":{"dist-bundle":{"x":null}}}`, "want a list"},
		{`{"default":` + reject + strings.Repeat(" ", sign.MaxPolicy) + `}`, "larger"},
		// requirements
		{`{"default":null}`, "want a list"},
		{`{"default":{}}`, "want a list"},
		{`{"default":[]}`, "empty"},
		{`{"default":[null]}`, "want an object"},
		{`{"default":["reject"]}`, "want an object"},
		{`{"default":[{}]}`, "requirement"},
		{`{"default":[{"type":null}]}`, "want a text"},
		{`{"default":[{"type":""}]}`, "want a text"},
		{`{"default":[{"type":"Reject"}]}`, `"Reject"`},
		{`{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"` + file + `"}]}`, `"signedBy"`},
		{`{"default":[{"keyType":"GPGKeys","type":"signedBy"}]}`, `"keyType"`},
		{`{"default":[{"type":"reject","type":"reject"}]}`, "twice"},
		{`{"default":[{"type":"reject","x":1}]}`, `"x"`},
		{`{"default":[{"type":"reject","keyPath":"` + file + `"}]}`, "keyPath"},
		{`{"default":[{"type":"insecureAcceptAnything","keyData":"` + one + `"}]}`, "keyData"},
		{`{"default":[{"type":"insecureAcceptAnything","signedIdentity":{"type":"matchExact"}}]}`, "signedIdentity"},
		{`{"default":[{"keyData":"` + one + `"}]}`, "keyData"},
		{`{"default":[{"type":"reject"},{"type":"x"}]}`, `"x"`},
		// keys
		{`{"default":[{"type":"sigstoreSigned"}]}`, "one of keyPath"},
		{`{"default":[{"type":"sigstoreSigned","signedIdentity":{"type":"matchExact"}}]}`, "one of keyPath"},
		{signed(`"keyPath":"` + file + `","keyData":"` + one + `"`), "one of keyPath"},
		{signed(`"keyPath":"` + file + `","keyPaths":["` + file + `"]`), "one of keyPath"},
		{signed(`"keyData":"` + one + `","keyDatas":["` + one + `"]`), "one of keyPath"},
		{signed(`"keyData":"` + one + `","keyData":"` + one + `"`), "twice"},
		{signed(`"keyPath":"one.pub"`), "absolute"},
		{signed(`"keyPath":"./one.pub"`), "absolute"},
		{signed(`"keyPaths":["` + file + `","one.pub"]`), "absolute"},
		{signed(`"keyPath":""`), "want a text"},
		{signed(`"keyPath":["` + file + `"]`), "want a text"},
		{signed(`"keyPaths":"` + file + `"`), "want a list"},
		{signed(`"keyPaths":[]`), "no key"},
		{signed(`"keyPaths":[""]`), "want a text"},
		{signed(`"keyDatas":[]`), "no key"},
		{signed(`"keyPath":"` + dir + `/none.pub"`), "none.pub"},
		{signed(`"keyPath":"` + dir + `"`), "directory"},
		{signed(`"keyPath":"` + dir + `/private.pub"`), "this is a private key"},
		{signed(`"keyPath":"` + dir + `/text.pub"`), "text.pub"},
		{signed(`"keyPath":"` + dir + `/huge.pub"`), "huge.pub"},
		{signed(`"keyPath":"` + dir + `/two.pub"`), "two.pub"},
		{signed(`"keyPath":"` + dir + `/weak.pub"`), "weak.pub"},
		{signed(`"keyPaths":["` + file + `","` + dir + `/none.pub"]`), "none.pub"},
		{signed(`"keyData":"!"`), "base64"},
		{signed(`"keyData":"` + strings.TrimRight(one, "=")[:21] + `"`), "base64"},
		{signed(`"keyData":"` + base64.StdEncoding.EncodeToString([]byte("text")) + `"`), "PEM"},
		{signed(`"keyData":"` + base64.StdEncoding.EncodeToString(plain(t, key(t, sign.ECDSA))) + `"`), "this is a private key"},
		{signed(`"keyData":"` + base64.StdEncoding.EncodeToString(testKey(t, "rsa1024.pub")) + `"`), "1024"},
		{signed(`"keyData":["` + one + `"]`), "want a text"},
		{signed(`"keyDatas":"` + one + `"`), "want a list"},
		{signed(`"keyDatas":["` + one + `","!"]`), "base64"},
		// what others support, by name
		{signed(`"keyData":"` + one + `","rekorPublicKeyPath":"` + file + `"`), `"rekorPublicKeyPath"`},
		{signed(`"keyData":"` + one + `","rekorPublicKeyPaths":[]`), `"rekorPublicKeyPaths"`},
		{signed(`"keyData":"` + one + `","rekorPublicKeyData":"` + one + `"`), `"rekorPublicKeyData"`},
		{signed(`"keyData":"` + one + `","rekorPublicKeyDatas":[]`), `"rekorPublicKeyDatas"`},
		{signed(`"fulcio":{"caPath":"` + file + `","oidcIssuer":"x","subjectEmail":"y"}`), `"fulcio"`},
		{signed(`"pki":{"caRootsPath":"` + file + `"}`), `"pki"`},
	} {
		path := filepath.Join(t.TempDir(), "policy.json")
		writeFile(t, path, []byte(row.text))
		p, err := sign.ReadPolicy(path)
		if !errors.Is(err, content.ErrInvalid) || p != nil || !strings.Contains(err.Error(), row.told) || !strings.Contains(err.Error(), path) {
			t.Errorf("%.200s: %v, want %q", row.text, err, row.told)
		}
	}
}

func TestTheKeysOfAPolicy(t *testing.T) {
	t.Parallel()
	dir := filepath.ToSlash(t.TempDir())
	files := map[string]string{}
	for _, kind := range []string{sign.ECDSA, sign.Ed25519} {
		files[kind] = dir + "/" + kind + ".pub"
		writeFile(t, files[kind], key(t, kind).Public().PEM())
	}
	one, two := encoded(key(t, sign.ECDSA)), encoded(key(t, sign.Ed25519))
	for fields, keys := range map[string]int{
		`"keyPath":"` + files[sign.ECDSA] + `"`:                                  1,
		`"keyPaths":["` + files[sign.ECDSA] + `"]`:                               1,
		`"keyPaths":["` + files[sign.ECDSA] + `","` + files[sign.Ed25519] + `"]`: 2,
		`"keyData":"` + one + `"`:                                                1,
		`"keyDatas":["` + one + `"]`:                                             1,
		`"keyDatas":["` + one + `","` + two + `"]`:                               2,
	} {
		p := parsePolicy(t, `{"transports":{"oci":{"/x:tag":`+reject+`}},"default":[{"signedIdentity":{"type":"matchRepository"},`+fields+`,"type":"sigstoreSigned"}]}`)
		data, err := p.Encode()
		must(t, err)
		if !strings.Contains(string(data), fields[:strings.Index(fields, ":")]) {
			t.Errorf("%s is written as %s", fields, data)
		}
		for _, p := range []*sign.Policy{p, parsePolicy(t, string(data))} {
			ids := p.Scopes()[0].Requirements[0].KeyIDs()
			if len(ids) != keys || ids[0] != key(t, sign.ECDSA).Public().ID() || ids[keys-1] == ids[0] != (keys == 1) {
				t.Errorf("%s has the keys %v", fields, ids)
			}
			for i, kind := range []string{sign.ECDSA, sign.Ed25519} {
				v := p.Judge(reference(t, name), manifest("{}"), both(t, key(t, kind), statement(manifest("{}"), name)), sign.Facts{})
				if v.Verified != (i < keys) {
					t.Errorf("%s, by %s: %v", fields, kind, v.Err())
				}
			}
		}
	}
}

func TestAPolicyInAFileThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "policy.json")
	writeFile(t, path, []byte(`{"default":`+reject+`}`))
	must(t, os.Chmod(path, 0))
	if data, err := os.ReadFile(path); err == nil {
		t.Skipf("who reads everything reads %q", data)
	}
	if _, err := sign.ReadPolicy(path); !errors.Is(err, content.ErrDenied) {
		t.Errorf("%v", err)
	}
}
