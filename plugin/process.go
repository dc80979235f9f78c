package plugin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"dist.example/content"
)

// grace is how long a program may take to end by itself.
const grace = 5 * time.Second

var errStalled = errors.New("nothing was heard of it in time")

// process is one running program. It serves one request at a time.
type process struct {
	name  string
	stall time.Duration
	cmd   *exec.Cmd
	in    io.WriteCloser
	pipe  io.ReadCloser // out reads it
	out   *bufio.Reader
	words []string // what it says it can do
	amid  bool     // it waits for the rest of what it was promised
	said  *warnings

	mu    sync.Mutex
	cause error // why it was killed
	over  func() error
}

// start runs the program and says hello.
func start(ctx context.Context, t *Transport, mode, at string) (*process, error) {
	cmd := exec.Command(t.path) //nolint:gosec // the user's own PATH and locator name it
	cmd.WaitDelay = time.Second
	cmd.Env = os.Environ()
	if t.opts.Offline {
		cmd.Env = append(cmd.Env, "DIST_OFFLINE=1")
	}
	said := &warnings{name: t.program(), warn: t.opts.Warn}
	cmd.Stderr = said
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", t.program(), err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("run %s: %w: %w", t.program(), content.ErrUnavailable, err)
	}
	p := &process{
		name: t.program(), stall: t.opts.Stall,
		cmd: cmd, in: in, pipe: out, out: newLines(out), said: said,
	}
	p.over = sync.OnceValue(p.wait)
	if err := p.hello(ctx, mode, at); err != nil {
		p.kill(err)
		_ = p.over()
		return nil, err
	}
	return p, nil
}

func (p *process) hello(ctx context.Context, mode, at string) error {
	words, err := p.call(ctx, "hello", version, mode, at)
	if err != nil {
		return err
	}
	if len(words) == 0 || words[0] != version {
		return fmt.Errorf("%s: %w: it speaks another version of the protocol than %s", p.name, content.ErrUnsupported, version)
	}
	p.words = words[1:]
	return nil
}

func (p *process) can(word string) bool { return slices.Contains(p.words, word) }

// call makes a request and returns what stands behind ok.
func (p *process) call(ctx context.Context, words ...string) ([]string, error) {
	if err := p.ask(ctx, words...); err != nil {
		return nil, err
	}
	return p.answer(ctx)
}

// ask writes a request.
func (p *process) ask(ctx context.Context, words ...string) error {
	line, err := encodeLine(words...)
	if err != nil {
		return err
	}
	return p.write(ctx, []byte(line))
}

// answer reads an answer that begins with ok.
func (p *process) answer(ctx context.Context) ([]string, error) {
	words, err := p.reply(ctx)
	if err == nil && words[0] != "ok" {
		err = p.nonsense(words[0])
	}
	if err != nil {
		return nil, err
	}
	return words[1:], nil
}

// reply reads an answer, and waits for it as long as the program asks for.
func (p *process) reply(ctx context.Context) ([]string, error) {
	for {
		var words []string
		err := p.guard(ctx, func() (err error) {
			words, err = readLine(p.out)
			return err
		})
		switch {
		case err != nil:
			return nil, err
		case words[0] == "wait":
			continue
		case words[0] == "error":
			return nil, p.about(decodeError(words[1:]))
		}
		return words, nil
	}
}

func (p *process) nonsense(word string) error {
	return p.about(fmt.Errorf("%w: answer %q", errProtocol, clip(word)))
}

// about names the program in an error, and gives one that breaks the protocol its
// class.
func (p *process) about(err error) error {
	if errors.Is(err, errProtocol) {
		return fmt.Errorf("%s: %w: %w", p.name, content.ErrUnsupported, err)
	}
	return fmt.Errorf("%s: %w", p.name, err)
}

// guard runs one step of input or output, and kills the program when the step takes
// too long or ctx ends. A step that was done all the same may still have been the
// program's last.
func (p *process) guard(ctx context.Context, step func() error) error {
	stop := context.AfterFunc(ctx, func() { p.kill(context.Cause(ctx)) })
	t := time.AfterFunc(p.stall, func() { p.kill(errStalled) })
	err := step()
	// Who has begun to kill may be slow: whoever comes next has to know.
	if !t.Stop() {
		p.kill(errStalled)
	}
	if !stop() {
		p.kill(context.Cause(ctx))
	}
	return p.reason(err)
}

// killed says whether the program was ended, so that it serves nobody any more.
func (p *process) killed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cause != nil
}

// reason is why a step failed: err may be only what a kill led to.
func (p *process) reason(err error) error {
	if err == nil {
		return nil
	}
	p.mu.Lock()
	cause := p.cause
	p.mu.Unlock()
	switch {
	case errors.Is(cause, errStalled):
		return fmt.Errorf("%s: %w: %w", p.name, content.ErrUnavailable, cause)
	case cause != nil:
		return fmt.Errorf("%s: %w", p.name, cause)
	case errors.Is(err, errProtocol):
		return p.about(err)
	}
	return p.died()
}

// died is the error of a program that is gone, or that closed its output.
func (p *process) died() error {
	end := "it closed its output"
	if err := p.end(); err != nil {
		end = "it ended: " + err.Error()
	}
	return fmt.Errorf("%s: %w: %s", p.name, content.ErrUnavailable, end)
}

// kill ends the program at once. What waits for it, also by way of a process that the
// program started, wakes up.
func (p *process) kill(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cause != nil {
		return
	}
	p.cause = cause
	_ = p.cmd.Process.Kill()
	_ = p.in.Close()
	_ = p.pipe.Close()
}

// end closes the program's input, waits until it has exited, and says how.
func (p *process) end() error {
	_ = p.in.Close()
	t := time.AfterFunc(grace, func() { p.kill(errStalled) })
	defer t.Stop()
	return p.over()
}

func (p *process) wait() error {
	// What it still says has to go somewhere, or it would not end.
	_, _ = io.Copy(io.Discard, p.out)
	err := p.cmd.Wait()
	p.said.flush()
	return err
}
