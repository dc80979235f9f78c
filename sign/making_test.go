package sign_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

func TestWhatIsSaidIsSigned(t *testing.T) {
	t.Parallel()
	st := statement(manifest("{}"), name)
	st.Annotations = map[string]string{"git": "abc", "creator": "mallory", "timestamp": "1", "docker-reference": "other.example/app:v1"}
	for _, serial := range []int64{0, 7} {
		st.Serial = serial
		want := serial
		if serial == 0 {
			want = st.Created.Unix()
		}
		for _, c := range both(t, key(t, sign.ECDSA), st) {
			if c.Fault != "" || c.Claim.Identity != name || c.Claim.Serial != want || c.Claim.Creator != "dist/test" || c.Claim.Annotations["git"] != "abc" {
				t.Errorf("%s claims %+v (%s)", c.Kind, c.Claim, c.Detail)
			}
			if c.Kind == sign.KindBundle && !c.Claim.Created.Equal(st.Created) || c.Manifest == "" || c.Blob == "" || len(c.Signature()) == 0 {
				t.Errorf("%s: %+v", c.Kind, c)
			}
		}
	}
	if len(st.Annotations) != 4 {
		t.Errorf("the annotations have become %v", st.Annotations)
	}
}

// cosign asks for annotations alone, so that a payload says its name there, too. It is
// no annotation for that; another one that somebody else has signed there is.
func TestAPayloadSaysItsNameTwice(t *testing.T) {
	t.Parallel()
	st := statement(manifest("{}"), name)
	st.Annotations = map[string]string{"git": "abc"}
	data, layer, err := sign.SignPayload(t.Context(), key(t, sign.ECDSA), st)
	must(t, err)
	var p struct {
		Optional map[string]any `json:"optional"`
	}
	must(t, json.Unmarshal(data, &p))
	if p.Optional[sign.AnnotationReference] != name {
		t.Errorf("cosign finds the annotations %v", p.Optional)
	}
	c := sign.Parse(digest, layer, data)
	if c.Claim.Identity != name || !maps.Equal(c.Claim.Annotations, st.Annotations) {
		t.Errorf("it claims %+v", c.Claim)
	}
	other := strings.Replace(string(data), `"optional":{`, `"optional":{"a":"`+name+`",`, 1)
	other = strings.Replace(other, `"docker-reference":"`+name+`","git"`, `"docker-reference":"other.example/app:v1","git"`, 1)
	c = sign.Parse(digest, layer, []byte(other))
	want := map[string]string{"a": name, "git": "abc", sign.AnnotationReference: "other.example/app:v1"}
	if c.Claim.Identity != name || !maps.Equal(c.Claim.Annotations, want) {
		t.Errorf("with another one it claims %+v (%s)", c.Claim, c.Detail)
	}
}

func TestANameThatNobodyCouldAskForIsNotSigned(t *testing.T) {
	t.Parallel()
	for _, identity := range []string{"", " ", "App", "registry.example/App:v1", "registry.example/app:v1 ", "registry.example/app:v 1", digest.String(), "https://registry.example/app:v1", "\x00"} {
		st := statement(manifest("{}"), identity)
		if _, _, err := sign.SignPayload(t.Context(), key(t, sign.ECDSA), st); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("payload for %q: %v", identity, err)
		}
		if _, _, err := sign.SignBundle(t.Context(), key(t, sign.ECDSA), st); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("bundle for %q: %v", identity, err)
		}
	}
	for _, identity := range []string{name, "registry.example/team/app", "registry.example/team/app@" + digest.String(), "localhost:5000/app:v1", "app:v1"} {
		for _, c := range both(t, key(t, sign.ECDSA), statement(manifest("{}"), identity)) {
			if c.Fault != "" || c.Claim.Identity != identity {
				t.Errorf("%s for %q: %+v", c.Kind, identity, c)
			}
		}
	}
}

func TestSigningEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, _, err := sign.SignPayload(ctx, key(t, sign.ECDSA), statement(manifest("{}"), name)); !errors.Is(err, context.Canceled) {
		t.Errorf("payload: %v", err)
	}
	if _, _, err := sign.SignBundle(ctx, key(t, sign.ECDSA), statement(manifest("{}"), name)); !errors.Is(err, context.Canceled) {
		t.Errorf("bundle: %v", err)
	}
}

// The forms are those that cosign writes, which it reads by their fields and types.
func TestWhatCarriesSignatures(t *testing.T) {
	t.Parallel()
	subject := manifest("{}")
	bundle, layer, err := sign.SignBundle(t.Context(), key(t, sign.ECDSA), statement(subject, name))
	must(t, err)
	if layer.MediaType != sign.MediaTypeBundle || layer.Digest != oci.DigestBytes(bundle) || layer.Size != int64(len(bundle)) || sign.KindOf(layer) != sign.KindBundle {
		t.Errorf("%+v", layer)
	}
	made := time.Unix(1_800_000_000, 0)
	c, err := sign.CarryBundle(subject.Descriptor, layer, made)
	must(t, err)
	again, err := sign.CarryBundle(subject.Descriptor, layer, made)
	must(t, err)
	if string(c.Manifest) != string(again.Manifest) || c.Descriptor.Digest != oci.DigestBytes(c.Manifest) || c.ConfigDesc.Digest != oci.DigestBytes(c.Config) {
		t.Errorf("%+v", c)
	}
	ours, theirs := fields(t, c.Manifest), fields(t, cosignFile(t, "bundle-manifest-p256.json"))
	theirs = slices.DeleteFunc(theirs, func(s string) bool { return s == "/config/artifactType" }) // no field of descriptors
	if strings.Join(ours, "\n") != strings.Join(theirs, "\n") {
		t.Errorf("a referrer has the fields\n%v\nand cosign's\n%v", ours, theirs)
	}
	if got, want := fields(t, bundle), fields(t, cosignFile(t, "bundle-p256.json")); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("a bundle has the fields\n%v\nand cosign's\n%v", got, want)
	}
	_, layer, err = sign.SignPayload(t.Context(), key(t, sign.ECDSA), statement(subject, name))
	must(t, err)
	p, err := sign.CarryPayload(layer)
	must(t, err)
	var theirTag oci.Manifest
	must(t, json.Unmarshal(cosignFile(t, "tag.json"), &theirTag))
	theirTag.Layers = theirTag.Layers[:1]
	data, err := json.Marshal(theirTag)
	must(t, err)
	if got, want := fields(t, p.Manifest), fields(t, data); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("a tag's manifest has the fields\n%v\nand cosign's\n%v", got, want)
	}
	if !strings.Contains(string(p.Config), layer.Digest.String()) || p.ConfigDesc.Digest != oci.DigestBytes(p.Config) {
		t.Errorf("its configuration is %s", p.Config)
	}
}

// fields are the paths of all values of a document, sorted.
func fields(t testing.TB, data []byte) []string {
	t.Helper()
	var v any
	must(t, json.Unmarshal(data, &v))
	return paths(v, "")
}

func paths(v any, at string) (all []string) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			all = append(all, paths(v[k], at+"/"+k)...)
		}
	case []any:
		for _, item := range v {
			all = append(all, paths(item, at+"/*")...)
		}
	default:
		all = append(all, at)
	}
	return all
}
