package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"

	"dist.example/content"
	"dist.example/oci"
)

// target writes by way of a program.
type target struct{ *pool }

var _ content.ImageTarget = (*target)(nil)

// words are a descriptor in a request.
func words(request string, desc oci.Descriptor, more ...string) []string {
	return append([]string{request, desc.Digest.String(), size(desc.Size), desc.MediaType}, more...)
}

// Exists implements content.Pusher.
func (t *target) Exists(ctx context.Context, desc oci.Descriptor) (here bool, err error) {
	if err := oci.ValidateDescriptor(desc); err != nil {
		return false, err
	}
	p, err := t.get(ctx)
	if err != nil {
		return false, err
	}
	defer func() { t.done(p, err) }()
	answer, err := p.call(ctx, words("exists", desc)...)
	if err != nil {
		return false, err
	}
	if len(answer) == 0 || (answer[0] != "yes" && answer[0] != "no") {
		return false, p.nonsense("ok")
	}
	return answer[0] == "yes", nil
}

// Push implements content.Pusher. The bytes are verified here as well. Content of
// unknown size is refused (ErrInvalid).
func (t *target) Push(ctx context.Context, desc oci.Descriptor, r io.Reader) (err error) {
	if err := oci.ValidateDescriptor(desc); err != nil {
		return err
	}
	p, err := t.get(ctx)
	if err != nil {
		return err
	}
	defer func() { t.done(p, err) }()
	if err := p.ask(ctx, words("push", desc)...); err != nil {
		return err
	}
	answer, err := p.reply(ctx)
	switch {
	case err != nil || answer[0] == "ok":
		return err
	case answer[0] != "go":
		return p.nonsense(answer[0])
	}
	if err := p.send(ctx, content.Verify(content.UntilDone(ctx, r), desc)); err != nil {
		return fmt.Errorf("push %s: %w", desc.Digest, err)
	}
	_, err = p.answer(ctx)
	return err
}

// send streams r, which verifies, to the program. The end is held back until the
// verdict: what is not what it should be does not get there whole. What fails on the
// way leaves the program in the middle of a request.
func (p *process) send(ctx context.Context, r io.Reader) error {
	p.amid = true
	held, next := make([]byte, 0, chunk), make([]byte, chunk)
	for {
		n, err := r.Read(next)
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return err
		}
		if n == 0 && !end {
			continue
		}
		if err := p.write(ctx, held); err != nil {
			return err
		}
		held, next = next[:n], held[:cap(held)]
		if end {
			err := p.write(ctx, held)
			p.amid = err != nil
			return err
		}
	}
}

// chunk is how much is sent at once.
const chunk = 256 << 10

func (p *process) write(ctx context.Context, b []byte) error {
	return p.guard(ctx, func() error {
		_, err := p.in.Write(b)
		return err
	})
}

// Finish implements content.ImageTarget.
func (t *target) Finish(ctx context.Context, root oci.Descriptor, name oci.Reference) (err error) {
	if err := oci.ValidateDescriptor(root); err != nil {
		return err
	}
	p, err := t.get(ctx)
	if err != nil {
		return err
	}
	defer func() { t.done(p, err) }()
	_, err = p.call(ctx, words("finish", root, nameOf(name))...)
	return err
}
