package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"dist.example/bundle"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// receiptOf is the receipt of a store with these texts, each under a name of its own.
func receiptOf(t testing.TB, serial int64, texts ...string) []byte {
	t.Helper()
	var set oci.DigestSet
	raws := map[string]bool{}
	for _, text := range texts {
		raw, err := oci.RawDigest(digestOf(text))
		if err != nil {
			t.Fatal(err)
		}
		raws[string(raw)] = true
	}
	for _, raw := range slices.Sorted(maps.Keys(raws)) {
		if err := set.AppendRaw([]byte(raw)); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	w, err := bundle.NewReceiptWriter(&b, bundle.Receipt{Store: "u", Serial: serial, Created: time.Unix(serial, 0), Names: 1, SHA256: int64(set.Len())})
	if err == nil {
		err = w.Name("r.example/app:v1", digestOf(texts[0]))
	}
	for raw := range set.Raws() {
		err = errors.Join(err, w.Object(raw))
	}
	if _, ferr := w.Finish(); err != nil || ferr != nil {
		t.Fatal(err, ferr)
	}
	return b.Bytes()
}

// take takes a receipt for a site.
func take(ctx context.Context, c *Client, r io.Reader) (Site, error) {
	site, _, err := c.TakeReceipt(ctx, "plant", r, false)
	return site, err
}

// A receipt goes from one store to another, and what is there is left out here.
func TestReceiptsTellWhatASiteHas(t *testing.T) {
	ctx := t.Context()
	there, _, _ := sender(t)
	var written []oci.Digest
	for i := range 20 {
		info, err := there.Put(ctx, PutOptions{}, strings.NewReader(fmt.Sprint("content ", i)))
		if err != nil {
			t.Fatal(err)
		}
		written = append(written, info.Digest)
	}
	if _, _, err := there.Tag(ctx, written[3].String(), "r.example/three:v1"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "receipt")
	wrote, err := there.WriteReceipt(ctx, ReceiptOptions{Output: path, Site: "plant"})
	if err != nil || wrote.Objects() != 20 || wrote.Names != 1 {
		t.Fatalf("%+v, %v", wrote, err)
	}
	var again bytes.Buffer
	if second, err := there.WriteReceipt(ctx, ReceiptOptions{Output: "-", Stdout: &again, Site: "plant"}); err != nil || second.Serial != wrote.Serial {
		t.Errorf("serial %d of the same state, and it was %d: %v", second.Serial, wrote.Serial, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	here, s, _ := sender(t)
	if _, err := here.AddSite(ctx, "plant", SiteOptions{}); err != nil {
		t.Fatal(err)
	}
	site, err := take(ctx, here, bytes.NewReader(data))
	if err != nil || site.Objects != 20 || site.Receipt != wrote.Digest {
		t.Fatalf("%+v, %v", site, err)
	}
	b, err := here.exportBase(ctx, s, ExportOptions{For: "plant"})
	if err != nil || b.about.Receipt != wrote.Digest || b.about.Store != wrote.Store || !b.about.Created.Equal(wrote.Created) {
		t.Fatalf("%+v, %v", b, err)
	}
	for _, d := range written {
		if !b.has(d) {
			t.Errorf("%s is not left out", d)
		}
	}
	if b.has(digestOf("nobody has this")) {
		t.Error("what the site has not is left out")
	}
	if _, err := here.Put(ctx, PutOptions{}, strings.NewReader("content 3")); err != nil {
		t.Fatal(err)
	}
	d, err := here.ShowSite(ctx, "plant")
	if err != nil || d.KnownObjects != 1 || d.KnownBytes != 9 || len(d.Names) != 1 || d.Names[0] != (SiteName{"r.example/three:v1", written[3], ""}) {
		t.Errorf("%+v, %v", d, err)
	}
}

// A receipt that is refused, or not there to its end, changes nothing and leaves nothing.
func TestRefusedReceiptsLeaveNothing(t *testing.T) {
	ctx := t.Context()
	c, s, _ := sender(t)
	if _, err := c.AddSite(ctx, "plant", SiteOptions{}); err != nil {
		t.Fatal(err)
	}
	many := make([]string, 5000)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	if _, err := take(ctx, c, bytes.NewReader(receiptOf(t, 5, "a", "b"))); err != nil {
		t.Fatal(err)
	}
	data := receiptOf(t, 6, many...)
	broken := errors.New("broken")
	for name, tc := range map[string]struct {
		r    io.Reader
		want error
	}{
		"older":   {bytes.NewReader(receiptOf(t, 4, "a")), content.ErrConflict},
		"cut off": {bytes.NewReader(data[:len(data)-1]), content.ErrCorrupt},
		"changed": {bytes.NewReader(append(bytes.Clone(data[:len(data)-1]), data[len(data)-1]^1)), content.ErrCorrupt},
		"broken":  {io.MultiReader(bytes.NewReader(data[:100_000]), iotest.ErrReader(broken)), broken},
	} {
		if _, err := take(ctx, c, tc.r); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	cancelled, cancel := context.WithCancel(ctx)
	first := true
	slow := readerFunc(func(p []byte) (int, error) {
		if !first {
			cancel()
		}
		first = false
		n := copy(p, data)
		if data = data[n:]; n == 0 {
			return 0, io.EOF
		}
		return n, nil
	})
	if _, err := take(cancelled, c, slow); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	site, err := s.Site(ctx, "plant")
	if err != nil || site.Serial != 5 || site.Objects != 2 {
		t.Errorf("%+v, %v", site, err)
	}
	err = s.View(ctx, func(tx *db.Tx) error {
		left := 0
		for id := site.Inventory + 1; id < site.Inventory+10; id++ {
			set, err := tx.InventoryDigests(id)
			if err != nil {
				return err
			}
			left += set.Len()
		}
		if left > 0 {
			t.Errorf("%d digests of what was refused are left", left)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Of two receipts at once the newer one stays, whichever comes first.
func TestTheNewestReceiptStays(t *testing.T) {
	ctx := t.Context()
	c, s, _ := sender(t)
	if _, err := c.AddSite(ctx, "plant", SiteOptions{}); err != nil {
		t.Fatal(err)
	}
	const n = 4
	done := make(chan error)
	for i := range n {
		texts := make([]string, 600*(i+1))
		for j := range texts {
			texts[j] = fmt.Sprint(i, j)
		}
		data := receiptOf(t, int64(i+1), texts...)
		go func() {
			_, err := take(ctx, c, bytes.NewReader(data))
			done <- err
		}()
	}
	for range n {
		if err := <-done; err != nil && !errors.Is(err, content.ErrConflict) {
			t.Error(err)
		}
	}
	site, err := s.Site(ctx, "plant")
	if err != nil || site.Serial != n || site.Objects != 600*n {
		t.Errorf("%+v, %v", site, err)
	}
	set, err := s.InventoryDigests(ctx, site.Inventory)
	if err != nil || set.Len() != 600*n {
		t.Errorf("%d digests, %v", set.Len(), err)
	}
}

// Where a receipt cannot be written, it is not there.
func TestReceiptsAreThereOrNot(t *testing.T) {
	ctx := t.Context()
	c, _, _ := sender(t)
	if _, err := c.WriteReceipt(ctx, ReceiptOptions{Output: filepath.Join(t.TempDir(), "no", "folder")}); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("into no folder: %v", err)
	}
	r, w := io.Pipe()
	r.CloseWithError(os.ErrClosed)
	if _, err := c.WriteReceipt(ctx, ReceiptOptions{Output: "-", Stdout: w}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a reader that went away: %v", err)
	}
}
