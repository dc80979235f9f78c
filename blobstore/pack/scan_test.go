package pack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

// scanned is what a scan told, in short.
type scanned struct {
	offsets  []int64
	salvaged int
	gaps     []GapError
}

func scan(t testing.TB, file []byte, end int64) scanned {
	t.Helper()
	var got scanned
	for e, err := range Scan(bytes.NewReader(file), end, int64(len(file))) {
		var gap *GapError
		switch {
		case err == nil:
			got.offsets = append(got.offsets, e.Offset)
			if e.Salvaged {
				got.salvaged++
			}
		case errors.As(err, &gap) && errors.Is(err, content.ErrCorrupt):
			got.gaps = append(got.gaps, *gap)
		default:
			t.Fatal(err)
		}
	}
	return got
}

func TestScanTellsTailFromDamage(t *testing.T) {
	file, recs, _ := build(t)
	size, n := int64(len(file)), len(recs)
	header := func(i int) int64 { return recs[i].Offset }
	spoil := func(off int64) []byte {
		p := bytes.Clone(file)
		p[off] ^= 1
		return p
	}
	for _, c := range []struct {
		name    string
		file    []byte
		end     int64
		records int
		gaps    []GapError
	}{
		{"whole", file, size, n, nil},
		{"empty pack", file[:HeaderSize], HeaderSize, 0, nil},
		{"not even a header", file[:10], HeaderSize, 0, []GapError{{10, HeaderSize}}},
		{"records past the end are told", file, header(5), n, nil},
		{"junk past the end", append(bytes.Clone(file), "junk"...), size, n, nil},
		{"zeros past the end", append(bytes.Clone(file), make([]byte, 4096)...), size, n, nil},
		{"an append broken off past the end", file[:size-1], header(n - 1), n - 1, nil},
		{"damage at the end", spoil(header(5)), header(5), 5, nil},
		{"damage past the end", spoil(header(6)), header(5), 6, nil},
		{"damage before the end", spoil(header(5)), size, n - 1, []GapError{{header(5), header(6)}}},
		{"damage to the last record", spoil(header(n - 1)), size, n - 1, []GapError{{header(n - 1), size}}},
		{"damage to the last record, then junk", append(spoil(header(n-1)), "junk"...), size, n - 1, []GapError{{header(n - 1), size}}},
		{"damage to the last before the end", spoil(header(5)), header(6), n - 1, []GapError{{header(5), header(6)}}},
		{"cut short", file[:size-1], size, n - 1, []GapError{{header(n - 1), size - 1}, {size - 1, size}}},
		{"cut between records", file[:header(n-1)], size, n - 1, []GapError{{header(n - 1), size}}},
	} {
		got := scan(t, c.file, c.end)
		if len(got.offsets) != c.records || !slices.Equal(got.gaps, c.gaps) {
			t.Errorf("%s: %d records, gaps %v; want %d, %v", c.name, len(got.offsets), got.gaps, c.records, c.gaps)
		}
	}
}

// After damage a record inside a blob looks like any other: it is told apart by
// being marked, and without damage it is never seen.
func TestRecordsWithinBlobsAreNotTrusted(t *testing.T) {
	e := NewEncoder()
	defer e.Release()
	forged, _, err := e.AppendNote(nil, Note{Type: NoteRef, Seq: 1 << 40, Name: "docker.io/library/a:1", New: oci.DigestBytes(nil)})
	if err != nil {
		t.Fatal(err)
	}
	file := EncodeHeader(testHeader)
	file, host, err := e.AppendBlob(file, oci.DigestBytes(forged), oci.MediaTypeLayerGzip, forged)
	if err != nil {
		t.Fatal(err)
	}
	file, next, err := e.AppendBlob(file, oci.DigestBytes(nil), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	end := int64(len(file))
	if got := scan(t, file, end); !slices.Equal(got.offsets, []int64{host.Offset, next.Offset}) || got.salvaged != 0 {
		t.Errorf("sound: %+v", got)
	}
	file[host.Offset] ^= 1
	file[host.Offset+1] ^= 1
	if got := scan(t, file, end); len(got.offsets) != 2 || got.salvaged != 2 || len(got.gaps) != 1 {
		t.Errorf("damaged: %+v", got)
	}
}

// Whichever bit of a header is flipped, its record alone is lost, and what lies in
// it is not found.
func TestOneFlippedBitLosesOneRecord(t *testing.T) {
	e := NewEncoder()
	defer e.Release()
	inner, _, err := e.AppendBlob(nil, oci.DigestBytes(nil), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []oci.Digest{oci.DigestBytes(inner), oci.SHA512.FromBytes(inner)} {
		file, rec, err := e.AppendBlob(EncodeHeader(testHeader), host, oci.MediaTypeLayerGzip, inner)
		if err != nil {
			t.Fatal(err)
		}
		file, next, err := e.AppendBlob(file, oci.DigestBytes(nil), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * rec.HeaderLen() {
			file[rec.Offset+bit/8] ^= 1 << (bit % 8)
			got := scan(t, file, int64(len(file)))
			if !slices.Equal(got.offsets, []int64{next.Offset}) || got.salvaged != 0 || len(got.gaps) != 1 || got.gaps[0].To != next.Offset {
				t.Errorf("bit %d of %s: %+v", bit, host, got)
			}
			file[rec.Offset+bit/8] ^= 1 << (bit % 8)
		}
	}
}

// Headers lie across the edges of what is read at once.
func TestScanAcrossWindows(t *testing.T) {
	e := NewEncoder()
	defer e.Release()
	file, want := EncodeHeader(testHeader), []int64(nil)
	for i := 0; len(file) < 3*scanWindow; i++ {
		p := noise(1+i*37%9000, uint64(i))
		out, rec, err := e.AppendBlob(file, oci.DigestBytes(p), "", p)
		if err != nil {
			t.Fatal(err)
		}
		file, want = out, append(want, rec.Offset)
	}
	if got := scan(t, file, int64(len(file))); !slices.Equal(got.offsets, want) || got.gaps != nil {
		t.Errorf("%d records of %d, gaps %v", len(got.offsets), len(want), got.gaps)
	}
	// And again with the first record's header damaged, so that what follows is
	// searched for.
	file[HeaderSize] ^= 1
	if got := scan(t, file, int64(len(file))); !slices.Equal(got.offsets, want[1:]) || len(got.gaps) != 1 {
		t.Errorf("%d records of %d, gaps %v", len(got.offsets), len(want)-1, got.gaps)
	}
}

// counting counts what is read.
type counting struct {
	*bytes.Reader
	n int64
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Reader.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}

// A pack full of the magic costs no more reading than any other.
func TestSearchReadsOnce(t *testing.T) {
	file := append(EncodeHeader(testHeader), bytes.Repeat([]byte(recordMagic), 1<<20)...)
	r := &counting{Reader: bytes.NewReader(file)}
	for _, err := range Scan(r, int64(len(file)), int64(len(file))) {
		if !errors.Is(err, content.ErrCorrupt) {
			t.Errorf("got %v", err)
		}
	}
	if r.n > int64(len(file))+int64(len(file)/scanWindow+2)*maxHeader {
		t.Errorf("%d bytes read of %d", r.n, len(file))
	}
}

func FuzzReadRecord(f *testing.F) {
	file, recs, _ := build(f)
	for _, rec := range recs {
		f.Add(file[rec.Offset:rec.PayloadOffset()], int64(0))
	}
	f.Add(file, int64(HeaderSize))
	f.Fuzz(func(t *testing.T, p []byte, off int64) {
		rec, err := ReadRecord(bytes.NewReader(p), off)
		if err != nil {
			return
		}
		again, err := rec.appendHeader(nil)
		if err != nil || !bytes.Equal(again, p[off:rec.PayloadOffset()]) {
			t.Errorf("%+v prints as %x, %v", rec, again, err)
		}
		if rec.RawSize > MaxRecord || rec.StoredSize > MaxRecord || rec.RawSize < 0 || rec.StoredSize < 0 {
			t.Errorf("sizes %+v", rec)
		}
		if got, err := ReadBlob(bytes.NewReader(p), rec); err == nil && oci.DigestBytes(got) != rec.Digest && digest512(got) != rec.Digest {
			t.Errorf("%+v: unverified content", rec)
		}
	})
}

func FuzzScan(f *testing.F) {
	file, recs, _ := build(f)
	f.Add(file, uint16(len(file)))
	f.Add(file[:len(file)-3], uint16(recs[4].Offset))
	spoilt := bytes.Clone(file)
	spoilt[recs[3].Offset+9] ^= 1
	f.Add(spoilt, uint16(len(file)))
	// Checksums are made good, so that the search gets past them.
	f.Fuzz(func(t *testing.T, p []byte, end uint16) {
		for off := 0; off+headerSHA256 <= len(p); off++ {
			if string(p[off:off+4]) == recordMagic && p[off+5] == algSHA256 && p[off+7]&1 != 0 {
				seal(p[off : off+headerSHA256])
			}
		}
		last := int64(HeaderSize)
		for e, err := range Scan(bytes.NewReader(p), int64(end), int64(len(p))) {
			var gap *GapError
			switch {
			case errors.As(err, &gap):
				if gap.From >= gap.To || gap.To > max(int64(end), 0) {
					t.Fatalf("gap %+v, end %d", gap, end)
				}
				last = gap.To
			case err != nil:
				t.Fatal(err)
			default:
				if e.Offset != last || e.End() > int64(len(p)) {
					t.Fatalf("record %+v after %d in %d", e, last, len(p))
				}
				last = e.End()
			}
		}
	})
}

// A few bytes of damage, too few to make a header of, cost the records that they
// fall into and no other.
func FuzzScanDamaged(f *testing.F) {
	file, recs, _ := build(f)
	for _, rec := range recs {
		f.Add(uint16(rec.PayloadOffset()-HeaderSize-1), []byte{0xff, 0xff})
		f.Add(uint16(rec.Offset-HeaderSize), []byte{file[rec.Offset] ^ 1})
		f.Add(uint16(rec.Offset-HeaderSize), []byte("PACK"))
	}
	f.Add(uint16(recs[2].Offset-HeaderSize), file[recs[3].Offset:recs[3].Offset+headerSHA256-1])
	f.Fuzz(func(t *testing.T, at uint16, damage []byte) {
		from := HeaderSize + int64(at)%(int64(len(file))-HeaderSize)
		damage = damage[:min(len(damage), headerSHA256-1, len(file)-int(from))]
		spoilt := bytes.Clone(file)
		copy(spoilt[from:], damage)
		got := scan(t, spoilt, int64(len(file)))
		for _, rec := range recs {
			sound := bytes.Equal(spoilt[rec.Offset:rec.PayloadOffset()], file[rec.Offset:rec.PayloadOffset()])
			if found := slices.Contains(got.offsets, rec.Offset); found != sound {
				t.Errorf("%d bytes at %d: record at %d, its header sound: %v, found: %v", len(damage), from, rec.Offset, sound, found)
			}
		}
	})
}

func FuzzDecodeNote(f *testing.F) {
	for _, s := range []string{
		`{"type":"ref","seq":3,"when":"2023-11-14T22:13:20Z","name":"docker.io/library/a:1","why":"pull"}`,
		`{"type":"media","seq":1,"digest":"sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","media":"text/plain","size":5}`,
		`{"type":"setting","seq":1,"name":"quota","value":{"a":[1,"<&>"]}}`,
		`{"type":"later","seq":1,"what":null}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		n, err := DecodeNote(p)
		if err != nil {
			if !errors.Is(err, content.ErrCorrupt) {
				t.Errorf("class of %v", err)
			}
			return
		}
		out, err := EncodeNote(n)
		if err != nil {
			return // larger when written out, or a year that has five digits
		}
		again, err := DecodeNote(out)
		if err != nil || again.Key() != n.Key() || again.Seq != n.Seq || !again.When.Equal(n.When) {
			t.Errorf("%s\nbecame %s: %v", p, out, err)
		}
	})
}

func TestNotesAreChecked(t *testing.T) {
	const d = `"sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"`
	for name, s := range map[string]string{
		"nothing":         ``,
		"null":            `null`,
		"a list":          `[]`,
		"cut":             `{"type":"ref","seq":1`,
		"more behind":     `{"type":"setting","seq":1,"name":"a"}{}`,
		"no type":         `{"seq":1,"name":"a"}`,
		"negative seq":    `{"type":"setting","seq":-1,"name":"a"}`,
		"seq too large":   `{"type":"setting","seq":9223372036854775808,"name":"a"}`,
		"no name":         `{"type":"ref","seq":1,"new":` + d + `}`,
		"bad digest":      `{"type":"ref","seq":1,"name":"a","new":"sha256:ab"}`,
		"media without":   `{"type":"media","seq":1,"digest":` + d + `}`,
		"named media":     `{"type":"media","seq":1,"digest":` + d + `,"media":"a/b","name":"x"}`,
		"negative size":   `{"type":"media","seq":1,"digest":` + d + `,"media":"a/b","size":-1}`,
		"not UTF-8":       "{\"type\":\"ref\",\"seq\":1,\"name\":\"\xff\"}",
		"longer than cap": `{"type":"setting","seq":1,"name":"a","value":"` + string(bytes.Repeat([]byte("x"), MaxNote)) + `"}`,
	} {
		if n, err := DecodeNote([]byte(s)); !errors.Is(err, content.ErrCorrupt) {
			t.Errorf("%s: %+v, %v", name, n, err)
		}
	}
	n, err := DecodeNote([]byte(`{"type":"later","seq":4,"name":"a","more":true}`))
	if err != nil || n.Key() != "later a" {
		t.Errorf("a later type: %+v, %v", n, err)
	}
}

// A kind of a later version is walked over.
func TestUnknownKindsAreWalked(t *testing.T) {
	file, recs, _ := build(t)
	at := recs[2].Offset
	file[at+4] = 200
	binary.LittleEndian.PutUint32(file[at+56:], 9999)
	seal(file[at : at+recs[2].HeaderLen()])
	if got := scan(t, file, int64(len(file))); len(got.offsets) != len(recs) || got.gaps != nil {
		t.Errorf("%+v", got)
	}
}
