package cmd

import (
	"io"
	"os"
	"path/filepath"

	"dist.example/client"
	"dist.example/fsys"
	"dist.example/layer"
	"dist.example/oci"
)

// readLists reads what --from names; "-" is stdin.
func (s *session) readLists(paths []string) ([]client.ListEntry, error) {
	var all []client.ListEntry
	for _, path := range paths {
		entries, err := s.readList(path)
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
	}
	return all, nil
}

func (s *session) readList(path string) ([]client.ListEntry, error) {
	o := client.ListOptions{
		PassedOver: func(where, what string) { s.warn(printable(where + ": " + what)) },
		Open:       func(beside string) (io.ReadCloser, error) { return os.Open(beside) },
	}
	if path == "-" {
		return client.ReadList(s.stdin, "stdin", o)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fsys.Classify(err)
	}
	defer f.Close()
	o.Open = func(beside string) (io.ReadCloser, error) {
		list, err := os.Open(filepath.Join(filepath.Dir(path), beside))
		return list, fsys.Classify(err)
	}
	return client.ReadList(interruptible(s.ctx, io.Reader(f)), path, o)
}

// listedOrNamed reads the lists among words, which are paths of files or "-", and
// takes every other word as it is.
func (s *session) listedOrNamed(words []string) ([]client.ListEntry, error) {
	var entries []client.ListEntry
	for _, word := range words {
		fi, err := os.Stat(word)
		if word != "-" && (err != nil || !fi.Mode().IsRegular()) {
			entries = append(entries, client.ListEntry{Word: word})
			continue
		}
		list, err := s.readLists([]string{word})
		if err != nil {
			return nil, err
		}
		entries = append(entries, list...)
	}
	return entries, nil
}

// ifDigest is a digest, or absent; the zero value asks for nothing.
type ifDigest struct{ want *oci.Digest }

// UnmarshalText takes a digest or the word absent.
func (d *ifDigest) UnmarshalText(text []byte) error {
	d.want = new(oci.Digest)
	if string(text) == "absent" {
		return nil
	}
	parsed, err := oci.ParseDigest(string(text))
	*d.want = parsed
	return err
}

// transfers is client for verbs that also write archives, whose members are as old
// as SOURCE_DATE_EPOCH says.
func (s *session) transfers(network networkFlags, n jobs) (*client.Client, error) {
	epoch, err := layer.ParseEpoch(s.getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return nil, err
	}
	s.epoch = epoch
	return s.client(network, n)
}
