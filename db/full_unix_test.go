//go:build unix

package db

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"dist.example/content"
)

// fullChild writes until files may not grow any more, and prints what came of it.
func fullChild(dir string, _ []string) error {
	d, err := Open(context.Background(), dir, Options{})
	if err != nil {
		return err
	}
	defer d.Close()
	limit := syscall.Rlimit{Cur: 512 << 10, Max: 512 << 10}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	for i := range 100 {
		err := d.Write(context.Background(), func(tx *Tx) error { return tx.SetMeta(fmt.Sprint(i), strings.Repeat("x", 50_000)) })
		if err != nil {
			fmt.Println(errors.Is(err, content.ErrNoSpace), err)
			return nil
		}
	}
	return errors.New("the disk was never full")
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	openDB(t, dir, Options{}).Close()
	cmd := child(t, "full", dir)
	out, err := cmd.Output()
	check(t, err)
	if !strings.HasPrefix(string(out), "true ") {
		t.Errorf("got %s, want ErrNoSpace", out)
	}
	d := openDB(t, dir, Options{})
	var n int
	read(t, d, func(tx *Tx) error {
		_, err := tx.get(`SELECT count(*) FROM meta`, nil, &n)
		return err
	})
	if n == 0 {
		t.Error("what was written before is gone")
	}
	write(t, d, func(tx *Tx) error { return tx.SetMeta("k", "v") })
}
