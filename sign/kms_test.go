package sign_test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/sign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/common"
)

const pluginProgram = "sigstore-kms-testhsm"

// TestMain lets the program of the tests be the one that keeps a key, too.
func TestMain(m *testing.M) {
	if strings.HasPrefix(filepath.Base(os.Args[0]), pluginProgram) {
		keepKey()
		return
	}
	os.Exit(m.Run())
}

// keepKey answers one question, in the way that the name of the key asks for.
func keepKey() {
	var args common.PluginArgs
	if len(os.Args) != 3 || os.Args[1] != "v1" || json.Unmarshal([]byte(os.Args[2]), &args) != nil {
		fmt.Print("no")
		return
	}
	message, err := io.ReadAll(os.Stdin)
	resp, err2 := answer(args, message)
	if err = errors.Join(err, err2); err != nil {
		resp = &common.PluginResp{ErrorMessage: err.Error()}
	}
	if err := json.NewEncoder(os.Stdout).Encode(resp); err != nil {
		os.Exit(3)
	}
}

func answer(args common.PluginArgs, message []byte) (*common.PluginResp, error) {
	signs := args.MethodName == common.SignMessageMethodName
	shown, used := "sec1-p256.key", "sec1-p256.key"
	switch args.InitOptions.KeyResourceID {
	case "other":
		if signs {
			return &common.PluginResp{SignMessage: &common.SignMessageResp{Signature: []byte("signed by another")}}, nil
		}
	case "rsa":
		shown, used = "pkcs1-rsa2048.key", "pkcs1-rsa2048.key"
	case "swapped":
		used = "pkcs1-rsa2048.key"
	case "weak":
		shown = "pkcs1-rsa1024.key"
	case "empty":
		return &common.PluginResp{}, nil
	case "emptylater":
		if signs {
			return &common.PluginResp{}, nil
		}
	case "refuses":
		return nil, errors.New("the slot is locked")
	case "refuseslater":
		if signs {
			return nil, errors.New("the slot is locked")
		}
	case "noise":
		fmt.Println("hello")
	case "exits":
		os.Exit(1)
	case "sleeps":
		time.Sleep(time.Minute)
	}
	return keyAnswer(shown, used, args, message)
}

func keyAnswer(shown, used string, args common.PluginArgs, message []byte) (*common.PluginResp, error) {
	open := func(file string) crypto.Signer {
		data, err := os.ReadFile(filepath.Join("testdata", "keys", "test-only-"+file))
		if err != nil {
			panic(err)
		}
		key, err := cryptoutils.UnmarshalPEMToPrivateKey(data, nil)
		if err != nil {
			panic(err)
		}
		return key.(crypto.Signer)
	}
	switch args.MethodName {
	case common.PublicKeyMethodName:
		data, err := cryptoutils.MarshalPublicKeyToPEM(open(shown).Public())
		return &common.PluginResp{PublicKey: &common.PublicKeyResp{PublicKeyPEM: data}}, err
	case common.SignMessageMethodName:
		h := args.InitOptions.HashFunc.New()
		h.Write(message)
		sig, err := open(used).Sign(nil, h.Sum(nil), args.InitOptions.HashFunc)
		return &common.PluginResp{SignMessage: &common.SignMessageResp{Signature: sig}}, err
	}
	return nil, fmt.Errorf("cannot %s", args.MethodName)
}

// plugIn puts the program on PATH, and nothing else.
func plugIn(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	dir := t.TempDir()
	program := filepath.Join(dir, pluginProgram)
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	must(t, os.Symlink(self, program))
	t.Setenv("PATH", dir)
}

func TestAProgramKeepsAKey(t *testing.T) {
	plugIn(t)
	for resource, public := range map[string]string{"slot/1": "p256.pub", "rsa": "pkcs1-rsa2048.pub"} {
		s, err := sign.OpenPlugin(t.Context(), "testhsm://"+resource)
		must(t, err)
		if s.Public().ID() != publicKey(t, public).ID() {
			t.Errorf("%s shows %s", resource, s.Public().ID())
		}
		subject := manifest("{}")
		for _, c := range both(t, s, statement(subject, name)) {
			if v := sign.Judge(reference(t, name), subject, []*sign.Candidate{c}, trusted(s), sign.Facts{}); !v.Accepted {
				t.Errorf("%s: %v", resource, v.Err())
			}
		}
		if _, err := s.PEM(nil); !errors.Is(err, content.ErrUnsupported) {
			t.Errorf("its private key: %v", err)
		}
	}
}

func TestAProgramThatSignsWithAnotherKeyIsCaught(t *testing.T) {
	plugIn(t)
	for resource, class := range map[string]error{"other": content.ErrCorrupt, "swapped": content.ErrCorrupt, "emptylater": content.ErrUnavailable, "refuseslater": content.ErrUnavailable} {
		s, err := sign.OpenPlugin(t.Context(), "testhsm://"+resource)
		must(t, err)
		if _, _, err := sign.SignPayload(t.Context(), s, statement(manifest("{}"), name)); !errors.Is(err, class) {
			t.Errorf("%s: payload: %v", resource, err)
		}
	}
}

func TestAProgramThatShowsNoKey(t *testing.T) {
	plugIn(t)
	for word, class := range map[string]error{
		"testhsm://empty": content.ErrUnavailable, "testhsm://refuses": content.ErrUnavailable, "testhsm://noise": content.ErrUnavailable,
		"testhsm://exits": content.ErrUnavailable, "testhsm://weak": content.ErrUnsupported, "nosuch://key": content.ErrNotFound,
		"awskms:///alias/x": content.ErrNotFound, "testhsm": content.ErrInvalid, "://key": content.ErrInvalid, "../testhsm://key": content.ErrInvalid,
		"x/../testhsm://key": content.ErrInvalid, "-x://key": content.ErrInvalid, "a b://key": content.ErrInvalid,
	} {
		if s, err := sign.OpenPlugin(t.Context(), word); !errors.Is(err, class) || s != nil {
			t.Errorf("%s: %v", word, err)
		}
		if sign.IsPlugin(word) == errors.Is(class, content.ErrInvalid) {
			t.Errorf("%q is taken for what it is not", word)
		}
	}
	_, err := sign.OpenPlugin(t.Context(), "testhsm://refuses")
	if !strings.Contains(err.Error(), "the slot is locked") {
		t.Errorf("what it says is lost: %v", err)
	}
}

func TestAProgramIsNotWaitedForWithoutEnd(t *testing.T) {
	plugIn(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := sign.OpenPlugin(ctx, "testhsm://sleeps"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	s, err := sign.OpenPlugin(ctx, "testhsm://slot")
	must(t, err)
	stop()
	if _, _, err := sign.SignPayload(ctx, s, statement(manifest("{}"), name)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
