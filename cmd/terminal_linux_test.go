package cmd

import (
	"bytes"
	"context"
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
	if strings.HasSuffix(string(text), ": ") && len(p.answers) > 0 {
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
