package plugin

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"sync"
	"testing"
)

// running is a process of this very program, which runs no test.
func running(t *testing.T) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{
		name: "it", stall: 1 << 40, cmd: cmd, in: in, pipe: out, out: newLines(out),
		said: &warnings{warn: func(string) {}},
	}
	p.over = sync.OnceValue(p.wait)
	return p
}

// A context that ends while the last bytes come kills the program, perhaps only after
// they have come. The next request must not meet it, nor that context's end.
func TestAProgramThatIsAboutToBeKilledServesNobodyElse(t *testing.T) {
	t.Parallel()
	p := running(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	if err := p.guard(ctx, func() error { cancel(errors.New("no more")); return nil }); err != nil {
		t.Fatalf("a step that was done came to %v", err)
	}
	l := &pool{t: &Transport{name: "x"}}
	l.put(p)
	if len(l.idle) != 0 {
		t.Error("it waits for another request")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
