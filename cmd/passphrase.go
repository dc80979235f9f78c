package cmd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"dist.example/client"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/sign"
)

// passphraseFlags say where the passphrase of a key comes from. There is no flag for
// the passphrase itself: every user of a machine can read the arguments of a program.
type passphraseFlags struct {
	PassphraseFile string `placeholder:"FILE" complete:"file" help:"Read the key's passphrase from this file, up to the end of its first line. Without it DIST_PASSWORD or COSIGN_PASSWORD counts, else it is asked for on the terminal."`
	PassphraseFD   int    `name:"passphrase-fd" placeholder:"N" default:"-1" help:"Read the key's passphrase from this open file descriptor."`
}

// errNoPassphrase is for a run that nobody can be asked in.
func errNoPassphrase(what string) error {
	return content.WithHint(fmt.Errorf("%s: it needs a %w, and there is no terminal to ask on", what, sign.ErrPassphrase),
		"give it with --passphrase-file, --passphrase-fd or DIST_PASSWORD")
}

// secret is a passphrase that was given, and where; nil bytes and "" for none.
type secret struct {
	passphrase []byte
	from       string
}

// takePassphrase takes a key's passphrase out of the environment, so that no program
// that is started inherits it.
func takePassphrase() (found secret) {
	for _, name := range []string{"COSIGN_PASSWORD", "DIST_PASSWORD"} { // the last one wins
		if v, ok := os.LookupEnv(name); ok { // empty is a passphrase, too
			found = secret{append([]byte{}, v...), name}
			os.Unsetenv(name)
		}
	}
	return found
}

// given is the passphrase that was given otherwise than on the terminal.
func (f passphraseFlags) given(s *session) (secret, error) {
	switch {
	case f.PassphraseFile != "" && f.PassphraseFD >= 0:
		return secret{}, usagef("--passphrase-file and --passphrase-fd: give one of them")
	case f.PassphraseFile != "":
		passphrase, err := f.fromFile(s)
		return secret{passphrase, "the file " + printable(f.PassphraseFile)}, err
	case f.PassphraseFD >= 0:
		passphrase, err := f.fromFD(s)
		return secret{passphrase, fmt.Sprintf("the file descriptor %d", f.PassphraseFD)}, err
	}
	return s.passphrase, nil
}

func (f passphraseFlags) fromFile(s *session) ([]byte, error) {
	r, err := os.Open(f.PassphraseFile)
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", fsys.Classify(err))
	}
	defer r.Close()
	return firstLine(interruptible(s.ctx, r))
}

func (f passphraseFlags) fromFD(s *session) ([]byte, error) {
	r := os.NewFile(uintptr(f.PassphraseFD), "passphrase")
	defer r.Close()
	passphrase, err := firstLine(interruptible(s.ctx, r))
	var unread *fs.PathError // only the first read tells that there is no such descriptor
	if errors.As(err, &unread) {
		err = usagef("--passphrase-fd %d: %v", f.PassphraseFD, unread.Err)
	}
	return passphrase, err
}

// firstLine reads a passphrase, without the line's end. What follows it is not waited
// for: whoever writes into a pipe may keep it open.
func firstLine(r io.Reader) ([]byte, error) {
	const end = "\r\n"
	line, err := bufio.NewReader(io.LimitReader(r, maxAnswer+int64(len(end)))).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("passphrase: %w", fsys.Classify(err))
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if len(line) > maxAnswer {
		return nil, usagef("the passphrase has more than %d bytes", maxAnswer)
	}
	return line, nil
}

// opening asks for the passphrase of a key that is there, when it turns out to be
// encrypted, and says where it came from. A descriptor is read here and now: one that
// nobody has opened may be a file of the store's own once that is open.
func (f passphraseFlags) opening(s *session) sign.Passphrase {
	if f.PassphraseFD >= 0 {
		g, err := f.given(s)
		return func(context.Context) ([]byte, string, error) { return g.passphrase, g.from, err }
	}
	return func(ctx context.Context) ([]byte, string, error) {
		if g, err := f.given(s); g.from != "" || err != nil {
			return g.passphrase, g.from, err
		}
		t := newTerminal(s.terminal, s.stderr)
		if t == nil {
			return nil, "", errNoPassphrase("the key is encrypted")
		}
		answer, err := t.askSecret(ctx, "Passphrase of the key: ")
		return []byte(answer), "the terminal", err
	}
}

// fresh is the passphrase for a key that is made, asked for twice.
func (f passphraseFlags) fresh(s *session) ([]byte, error) {
	if g, err := f.given(s); g.from != "" || err != nil {
		return g.passphrase, err
	}
	t := newTerminal(s.terminal, s.stderr)
	if t == nil {
		return nil, errNoPassphrase("a new key")
	}
	first, err := t.askSecret(s.ctx, "Passphrase for the new key: ")
	if err != nil {
		return nil, err
	}
	second, err := t.askSecret(s.ctx, "The same again: ")
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(first), []byte(second)) != 1 {
		return nil, usagef("the two passphrases differ")
	}
	return []byte(first), nil
}

// signatureFormats are the words for the forms of signatures.
var signatureFormats = []string{string(client.FormBoth), string(client.FormBundle), string(client.FormTag)}

// signingFlags are for verbs that sign.
type signingFlags struct {
	Key string `short:"k" placeholder:"KEY" env:"DIST_KEY" complete:"key" help:"Key to sign with: a label, an id or its first 8 digits, a file, or PLUGIN://KEY for one that the program sigstore-kms-PLUGIN keeps. Without it the key called default signs."`
	passphraseFlags
	SignatureFormat string `placeholder:"FORM" enum:"both,bundle,tag" default:"both" help:"Form of signatures: bundle (a referrer, cosign 3), tag (cosign 2, Podman, CRI-O) or both (the default). --format takes these words, too."`
}

func (f signingFlags) options(s *session) client.SignOptions {
	return client.SignOptions{Key: f.Key, Passphrase: f.opening(s), Form: client.SignForm(f.SignatureFormat)}
}

// requireKeyFlag is for verbs that sign what they make.
type requireKeyFlag struct {
	signingFlags
	RequireKey bool `help:"Fail (exit 5), before anything is written, when no key signs."`
}

// unsigned says that what was made is not signed, unless it is.
func (s *session) unsigned(what string, signed *client.Signed) {
	if signed == nil {
		s.warn(what + ": the manifest is not signed")
		s.warn("hint: `dist key generate` makes a key that signs from then on; -k KEY names another")
	}
}
