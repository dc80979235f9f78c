package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"dist.example/registryserver/registrytest"
)

// openTerminal returns both ends of a pseudo-terminal: what a person types on, and
// what a program has for its stdin.
func openTerminal(t *testing.T) (keyboard, program *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { keyboard.Close() })
	var number, unlocked uint32
	control(t, keyboard, syscall.TIOCSPTLCK, unsafe.Pointer(&unlocked))
	control(t, keyboard, syscall.TIOCGPTN, unsafe.Pointer(&number))
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { program.Close() })
	return keyboard, program
}

func control(t *testing.T, f *os.File, request uintptr, arg unsafe.Pointer) {
	t.Helper()
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(arg)); errno != 0 {
		t.Fatal(errno)
	}
}

// modes are those of a terminal, such as whether it echoes.
func modes(t *testing.T, f *os.File) (m syscall.Termios) {
	t.Helper()
	control(t, f, syscall.TCGETS, unsafe.Pointer(&m))
	return m
}

// person answers each question that is put to stderr with the next keys, and
// notes whether the terminal would show them.
type person struct {
	keyboard io.Writer
	echo     func() bool
	answers  []string
	shown    bytes.Buffer
	echoed   []bool
}

func (p *person) Write(text []byte) (int, error) {
	p.shown.Write(text)
	if (strings.HasSuffix(string(text), ": ") || strings.HasSuffix(string(text), "[y/N] ")) && len(p.answers) > 0 {
		p.echoed = append(p.echoed, p.echo())
		if _, err := io.WriteString(p.keyboard, p.answers[0]); err != nil {
			return 0, err
		}
		p.answers = p.answers[1:]
	}
	return len(text), nil
}

func TestLoginAtATerminal(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{Auth: &registrytest.Auth{User: "ann", Password: "s3cr3t"}})
	for name, c := range map[string]struct {
		args    []string
		answers []string
		exit    int
	}{
		"asked for both":         {nil, []string{"ann\n", "s3cr3t\r"}, exitOK},
		"asked for the password": {[]string{"-u", "ann"}, []string{"s3x\x7fcr3t\r"}, exitOK},
		"a wrong one":            {[]string{"-u", "ann"}, []string{"other\r"}, exitDenied},
		"Ctrl-C":                 {[]string{"-u", "ann"}, []string{"s3c\x03"}, exitInterrupted},
		"Ctrl-D":                 {[]string{"-u", "ann"}, []string{"\x04"}, exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			keyboard, program := openTerminal(t)
			before := modes(t, program)
			file := filepath.Join(t.TempDir(), "auth.json")
			stderr := &person{keyboard: keyboard, answers: c.answers, echo: func() bool { return modes(t, program).Lflag&syscall.ECHO != 0 }}
			var stdout bytes.Buffer
			args := append([]string{"login", "--auth-file", file, reg.Host}, c.args...)
			if got := (Program{}).run(context.Background(), args, program, &stdout, stderr); got != c.exit {
				t.Fatalf("exit code %d, want %d: %s", got, c.exit, &stderr.shown)
			}
			if after := modes(t, program); after != before {
				t.Errorf("the terminal was %+v and is %+v", before, after)
			}
			if _, err := os.Stat(file); (err == nil) != (c.exit == exitOK) {
				t.Errorf("the file: %v", err)
			}
			for i, echoed := range stderr.echoed {
				if secret := i == len(stderr.echoed)-1; echoed == secret {
					t.Errorf("answer %d was shown: %v", i+1, echoed)
				}
			}
			_ = program.Close()
			echo := make([]byte, 4096)
			n, _ := keyboard.Read(echo) // all that was shown until the end
			if all := stdout.String() + stderr.shown.String() + string(echo[:n]); len(stderr.echoed) == 0 || strings.Contains(all, "s3c") || strings.Contains(all, "other") {
				t.Errorf("the password was shown: %q", all)
			}
		})
	}
}

func TestAQuestionAtATerminal(t *testing.T) {
	for answer, want := range map[string]error{
		"y\n": nil, "Y\n": nil, "yes\n": nil, "YES\n": nil, " Yes \n": nil,
		"\n": errDeclined, "n\n": errDeclined, "no\n": errDeclined, "yep\n": errDeclined, "\x04": errDeclined,
	} {
		keyboard, program := openTerminal(t)
		stderr := &person{keyboard: keyboard, answers: []string{answer}, echo: func() bool { return true }}
		s := &session{ctx: t.Context(), terminal: program, stderr: stderr}
		if err := s.confirm("Do it?"); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", answer, err, want)
		}
		if got := stderr.shown.String(); got != "Do it? [y/N] " {
			t.Errorf("%q: shown %q", answer, got)
		}
	}
}

func TestAPrivateKeyGoesOnlyAfterAYes(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("DIST_STORE", filepath.Join(t.TempDir(), "store"))
	if got := (Program{}).run(t.Context(), []string{"key", "generate", "--no-passphrase", "mine"}, strings.NewReader(""), io.Discard, io.Discard); got != exitOK {
		t.Fatalf("exit code %d", got)
	}
	remove := func(answer string) (exit int, shown string) {
		keyboard, program := openTerminal(t)
		stderr := &person{keyboard: keyboard, answers: []string{answer}, echo: func() bool { return true }}
		exit = (Program{}).run(t.Context(), []string{"key", "remove", "mine"}, program, io.Discard, stderr)
		return exit, stderr.shown.String()
	}
	if got, shown := remove("n\n"); got != exitUsage || !strings.HasSuffix(shown, "dist: key remove mine: nothing was done\n") {
		t.Errorf("a no: exit code %d, shown %q", got, shown)
	}
	if got, shown := remove("Y\n"); got != exitOK {
		t.Errorf("a yes: exit code %d, shown %q", got, shown)
	}
	if got, _ := remove("Y\n"); got != exitNotFound {
		t.Errorf("again: exit code %d", got)
	}
}

func TestAWrongPassphraseOfTheTerminal(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("DIST_STORE", filepath.Join(t.TempDir(), "store"))
	keyboard, program := openTerminal(t)
	stderr := &person{keyboard: keyboard, answers: []string{"guess\r"}, echo: func() bool { return true }}
	got := (Program{}).run(t.Context(), []string{"key", "import", "../sign/testdata/keys/test-only-pbes2-p256.key"}, program, io.Discard, stderr)
	if shown := stderr.shown.String(); got != exitDenied || !strings.HasSuffix(shown, "dist: hint: the passphrase came from the terminal\n") || strings.Contains(shown, "guess") {
		t.Errorf("exit code %d, shown %q", got, shown)
	}
}
