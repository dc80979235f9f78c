package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"dist.example/bundle"
	"dist.example/content"
	"dist.example/oci"
)

// volumes takes the volumes of one bundle, in any order, by one call or by several. What
// came is kept under leases: one that the ingests are under, and one for each volume that
// came whole, whose note says which.
//
// The part of a blob goes into the ingest of the blob, if that ends where the part begins.
// Else it waits in an ingest of its own, under the name of the part, until what comes
// before it is there.
type volumes struct {
	im     *imports
	bundle oci.Digest
	of     int
	lease  content.Lease
	parts  []partTaken // of the volume that is coming
	number int         // of that
	again  bool        // it came whole before: what is here of it is sound
}

// partTaken is a part whose volume has not come to its end.
type partTaken struct {
	desc   oci.Descriptor // of the blob
	offset int64
	apart  bool  // it has an ingest of its own
	sound  int64 // what was there already and is not to be taken back: up to this offset
}

// note is that of the lease for a volume, or for what came of any.
func (v *volumes) note(number int) string {
	if number == 0 {
		return "import of " + v.bundle.String()
	}
	return fmt.Sprintf("import of %s: volume %d of %d", v.bundle, number, v.of)
}

// begin is for before the first part of a volume.
func (v *volumes) begin(ctx context.Context, number int) (err error) {
	v.parts, v.number = nil, number
	came, err := v.numbers(ctx)
	if v.again = slices.Contains(came, number); err == nil && v.lease.ID == "" {
		v.lease, err = v.im.store.Acquire(ctx, v.note(0), keepImported)
	}
	return err
}

// apartKey is the key of a part that waits for those before it.
func apartKey(d oci.Digest, offset int64) string { return "import " + bundle.PartName(d, offset) }

// open opens the ingest of a blob.
func (v *volumes) open(ctx context.Context, desc oci.Descriptor) (content.Writer, error) {
	return v.im.store.Writer(ctx, content.IngestOptions{
		Key: desc.Digest.String(), Expected: desc.Digest, Total: desc.Size, MediaType: desc.MediaType, KeepType: true, Lease: v.lease.ID,
	})
}

// take takes a part.
func (v *volumes) take(ctx context.Context, s *storing, desc oci.Descriptor, offset int64, b bundle.Coming) error {
	w, err := v.open(ctx, desc)
	if errors.Is(err, content.ErrExists) {
		_, err := io.Copy(io.Discard, b.Reader)
		return err
	}
	if err != nil {
		return err
	}
	if w.Status().Offset < offset {
		if err := w.Close(); err != nil {
			return err
		}
		return v.takeApart(ctx, s, desc, offset, b)
	}
	defer w.Close()
	p := partTaken{desc: desc, offset: offset, sound: offset}
	if v.again {
		p.sound = max(offset, w.Status().Offset)
	}
	v.parts = append(v.parts, p)
	rest, err := v.compare(ctx, w, offset, b)
	if err != nil {
		return err
	}
	return s.fill(ctx, w, rest, desc)
}

// takeApart keeps a part whose predecessor is missing.
func (v *volumes) takeApart(ctx context.Context, s *storing, desc oci.Descriptor, offset int64, b bundle.Coming) error {
	w, err := v.im.store.Writer(ctx, content.IngestOptions{Key: apartKey(desc.Digest, offset), Total: b.Size, Lease: v.lease.ID})
	if err != nil {
		return err
	}
	defer w.Close()
	if v.again && w.Status().Offset == b.Size {
		_, err := io.Copy(io.Discard, b.Reader)
		return err
	}
	v.parts = append(v.parts, partTaken{desc: desc, offset: offset, apart: true})
	if w.Status().Offset > 0 {
		if err := w.Reset(); err != nil {
			return err
		}
	}
	return s.fill(ctx, w, b.Reader, desc)
}

// cutter is a Writer whose last bytes can be taken back.
type cutter interface {
	Cut(ctx context.Context, n int64) error
}

// compare reads of a part what an earlier try has written of it. From the first difference
// on, or behind the end, what it returns is to be written. Errors: ErrCorrupt for a
// difference from a volume that came whole.
func (v *volumes) compare(ctx context.Context, w content.Writer, offset int64, b bundle.Coming) (io.Reader, error) {
	at := w.Status().Offset
	if at == offset {
		return b.Reader, nil
	}
	part, err := v.im.store.Part(ctx, w.Status().Key)
	if err != nil {
		return nil, err
	}
	defer part.Close()
	had := io.NewSectionReader(part, offset, min(at-offset, b.Size))
	mine, theirs := make([]byte, 64<<10), make([]byte, 64<<10)
	for pos := offset; ; {
		n, err := io.ReadFull(had, mine)
		if err == io.EOF {
			return b.Reader, nil
		}
		if err != nil && err != io.ErrUnexpectedEOF {
			return nil, err
		}
		if _, err := io.ReadFull(b.Reader, theirs[:n]); err != nil {
			return nil, err
		}
		if !bytes.Equal(mine[:n], theirs[:n]) {
			if v.again {
				return nil, fmt.Errorf("%s: %w: volume %d came before, and had something else from byte %d of it on", b.Name, content.ErrCorrupt, v.number, pos)
			}
			if err := w.(cutter).Cut(ctx, pos); err != nil {
				return nil, err
			}
			return io.MultiReader(bytes.NewReader(bytes.Clone(theirs[:n])), b.Reader), nil
		}
		pos += int64(n)
	}
}

// join is for after a volume has proved sound: what waited for its parts is put behind
// them, and blobs that are whole then are committed. It returns those.
func (v *volumes) join(ctx context.Context, s *storing) (whole []oci.Digest, err error) {
	for _, p := range v.parts {
		done, err := v.joinOne(ctx, s, p.desc)
		if err != nil {
			return whole, err
		}
		if done && !slices.Contains(whole, p.desc.Digest) {
			whole = append(whole, p.desc.Digest)
		}
	}
	v.parts = nil
	return whole, nil
}

func (v *volumes) joinOne(ctx context.Context, s *storing, desc oci.Descriptor) (done bool, err error) {
	w, err := v.open(ctx, desc)
	if errors.Is(err, content.ErrExists) {
		return true, v.drop(ctx, desc.Digest)
	}
	if err != nil {
		return false, err
	}
	defer w.Close()
	for w.Status().Offset < desc.Size {
		more, err := v.append(ctx, s, w, desc)
		if err != nil || !more {
			return false, err
		}
	}
	_, err = w.Commit(ctx)
	if errors.Is(err, content.ErrCorrupt) {
		if rerr := w.Reset(); rerr != nil {
			return false, errors.Join(err, rerr)
		}
		return false, content.WithHint(err, "its parts do not make the blob: import the volumes that have them again")
	}
	if err != nil {
		return false, err
	}
	s.im.stats.MovedBlobs++
	s.tell(content.EventFinished, desc, desc.Size)
	s.im.c.hook("import.joined")
	return true, v.drop(ctx, desc.Digest)
}

// append puts the part that waits for the end of w behind it, and drops it. False where
// there is none. One that an earlier try has put there in part is put there anew.
func (v *volumes) append(ctx context.Context, s *storing, w content.Writer, desc oci.Descriptor) (bool, error) {
	at := w.Status().Offset
	parts, err := v.waiting(ctx, desc.Digest)
	i := slices.IndexFunc(parts, func(p waitingPart) bool { return p.offset <= at && at < p.offset+p.size })
	if err != nil || i < 0 {
		return false, err
	}
	p := parts[i]
	if p.offset < at {
		if err := w.(cutter).Cut(ctx, p.offset); err != nil {
			return false, err
		}
	}
	part, err := v.im.store.Part(ctx, p.key)
	if err != nil {
		return false, err
	}
	err = s.fill(ctx, w, io.NewSectionReader(part, 0, p.size), desc)
	if cerr := part.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		s.im.c.hook("import.appended")
		err = v.im.store.Abort(ctx, p.key)
	}
	return err == nil, err
}

// waitingPart is a part in an ingest of its own.
type waitingPart struct {
	key          string
	offset, size int64
}

// waiting are the parts of a blob that came whole and wait for others, in the order of
// their names.
func (v *volumes) waiting(ctx context.Context, d oci.Digest) (parts []waitingPart, err error) {
	for st, err := range v.im.store.Active(ctx) {
		if err != nil {
			return nil, err
		}
		name, ok := strings.CutPrefix(st.Key, "import ")
		of, offset, isPart := bundle.ParsePartName(name)
		if ok && isPart && of == d && !st.Live && st.Offset == st.Total {
			parts = append(parts, waitingPart{st.Key, offset, st.Total})
		}
	}
	return parts, nil
}

// drop takes away the parts that wait for a blob that is here.
func (v *volumes) drop(ctx context.Context, d oci.Digest) error {
	parts, err := v.waiting(ctx, d)
	for _, p := range parts {
		if err := v.im.store.Abort(ctx, p.key); err != nil && !errors.Is(err, content.ErrNotFound) && !errors.Is(err, content.ErrConflict) {
			return err
		}
	}
	return err
}

// end notes that a volume has come whole, and keeps what it brought.
func (v *volumes) end(ctx context.Context, number int, came []oci.Digest) error {
	_, err := v.im.store.Acquire(ctx, v.note(number), keepImported, came...)
	v.im.c.hook("import.volume")
	return err
}

// abandon takes back the parts of a volume that did not come to its end, or is damaged.
func (v *volumes) abandon(ctx context.Context) {
	ctx = context.WithoutCancel(ctx) // each step is short, and waits for no more than a lock
	for _, p := range slices.Backward(v.parts) {
		var err error
		if p.apart {
			err = v.im.store.Abort(ctx, apartKey(p.desc.Digest, p.offset))
		} else {
			err = v.cut(ctx, p)
		}
		if err != nil && !errors.Is(err, content.ErrNotFound) {
			v.im.c.opts.Warn(fmt.Sprintf("a part of %s could not be taken back: %v", p.desc.Digest, err))
		}
	}
}

func (v *volumes) cut(ctx context.Context, p partTaken) error {
	w, err := v.open(ctx, p.desc)
	if errors.Is(err, content.ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	defer w.Close()
	if w.Status().Offset <= p.sound {
		return nil
	}
	return w.(cutter).Cut(ctx, p.sound)
}

// complete says whether all blobs of the bundle are here. Errors: ErrPartial, which says
// which volumes are missing.
func (v *volumes) complete(ctx context.Context, r *bundle.Reception) error {
	lacking := 0
	for _, b := range r.Head().Contents.Blobs {
		here, err := v.im.holds(ctx, descriptor(b))
		if err != nil {
			return err
		}
		if !here {
			lacking++
		}
	}
	if lacking == 0 {
		return nil
	}
	return v.missing(ctx, r, lacking)
}

// missing is the error for volumes that did not come yet, where so many blobs are lacking.
func (v *volumes) missing(ctx context.Context, r *bundle.Reception, lacking int) error {
	came, err := v.numbers(ctx)
	if err != nil {
		return err
	}
	var missing []string
	for n := 1; n <= v.of; n++ {
		if !slices.Contains(came, n) && !slices.Contains(r.Volumes(), n) {
			missing = append(missing, strconv.Itoa(n))
		}
	}
	if len(missing) == 0 {
		return content.WithHint(fmt.Errorf("import: %w: all %d volumes came, and of what they have there %s not here", content.ErrCorrupt, v.of, areSome(lacking, "blob")),
			"import all of them again: what is here is not taken twice")
	}
	return content.WithHint(fmt.Errorf("import: %w: of %d volumes, %s came not yet, and no name was given", content.ErrPartial, v.of, joined(missing)),
		"import them too, in any order; what came is kept for a week")
}

// numbers are the volumes that came by earlier calls, as their leases say.
func (v *volumes) numbers(ctx context.Context) (came []int, err error) {
	if v.im.store == nil {
		return nil, nil
	}
	for l, err := range v.im.store.AllLeases(ctx) {
		if err != nil {
			return nil, err
		}
		rest, ok := strings.CutPrefix(l.Note, v.note(0)+": volume ")
		word, _, _ := strings.Cut(rest, " ")
		if n, err := strconv.Atoi(word); ok && err == nil {
			came = append(came, n)
		}
	}
	return came, nil
}

// release ends the leases of the bundle, once names reach what was under them.
func (v *volumes) release(ctx context.Context) error {
	return v.im.releaseKept(ctx, func(l content.Lease) bool {
		return l.Note == v.note(0) || strings.HasPrefix(l.Note, v.note(0)+": volume ")
	})
}
