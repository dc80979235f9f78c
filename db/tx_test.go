package db

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/schema"
)

func TestFailedWriteChangesNothing(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	errOurs := errors.New("ours")
	ctx, cancel := context.WithCancel(context.Background())
	for name, fn := range map[string]func(tx *Tx) error{
		"error":  func(*Tx) error { return errOurs },
		"cancel": func(*Tx) error { cancel(); return nil },
		"panic":  func(*Tx) error { panic(errOurs) },
	} {
		t.Run(name, func(t *testing.T) {
			func() {
				defer func() {
					if r := recover(); (r != nil) != (name == "panic") {
						t.Errorf("recovered %v", r)
					}
				}()
				use := context.Background()
				if name == "cancel" {
					use = ctx
				}
				err := d.Write(use, func(tx *Tx) error {
					if err := tx.SetMeta(name, "x"); err != nil {
						return err
					}
					return fn(tx)
				})
				if err == nil {
					t.Error("no error")
				}
			}()
			write(t, d, func(tx *Tx) error { return nil }) // the lock is free again
			read(t, d, func(tx *Tx) error {
				if _, found, err := tx.Meta(name); found || err != nil {
					t.Errorf("found %v, %v", found, err)
				}
				return nil
			})
		})
	}
}

func TestReadCannotWrite(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	err := d.Read(context.Background(), func(tx *Tx) error { return tx.SetMeta("k", "v") })
	if !errors.Is(err, errReadTx) {
		t.Errorf("got %v", err)
	}
}

// However many read, a write within a read goes on.
func TestWriteWithinManyReads(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	var wg, reading sync.WaitGroup
	reading.Add(maxReaders)
	for i := range maxReaders {
		wg.Go(func() {
			err := d.Read(context.Background(), func(*Tx) error {
				reading.Done()
				reading.Wait()
				return d.Write(context.Background(), func(tx *Tx) error { return tx.SetMeta(fmt.Sprint(i), "v") })
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if d.Commits() != maxReaders {
		t.Errorf("%d of %d writes", d.Commits(), maxReaders)
	}
}

func TestReadIsOneSnapshot(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	write(t, d, func(tx *Tx) error { return tx.SetMeta("k", "1") })
	read(t, d, func(tx *Tx) error {
		before, _, err := tx.Meta("k")
		if err != nil {
			return err
		}
		write(t, d, func(tx *Tx) error { return tx.SetMeta("k", "2") })
		after, _, err := tx.Meta("k")
		if before != "1" || after != "1" {
			t.Errorf("read %s, then %s", before, after)
		}
		return err
	})
}

func TestOneNowInWholeMilliseconds(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{Clock: func() time.Time { return time.Unix(1700000000, 123456789) }})
	write(t, d, func(tx *Tx) error {
		if want := time.Unix(1700000000, 123000000).UTC(); tx.Now != want {
			t.Errorf("now is %v, want %v", tx.Now, want)
		}
		return nil
	})
}

func TestCommitErrorIsTold(t *testing.T) {
	errDisk := errors.New("disk")
	var d *DB
	for _, durable := range []bool{true, false} {
		d = openDB(t, t.TempDir(), Options{Commit: func(commit func() error) error {
			if durable {
				if err := commit(); err != nil {
					return err
				}
			}
			return errDisk
		}})
		err := d.Write(context.Background(), func(tx *Tx) error { return tx.SetMeta("k", "v") })
		var ce *CommitError
		if !errors.As(err, &ce) || !errors.Is(err, errDisk) {
			t.Errorf("got %v", err)
		}
		read(t, d, func(tx *Tx) error {
			if _, found, err := tx.Meta("k"); found != durable || err != nil {
				t.Errorf("durable %v: found %v, %v", durable, found, err)
			}
			return nil
		})
		if d.Commits() != 0 {
			t.Error("counted a commit that failed")
		}
	}
}

func TestCommitsAreCounted(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	for range 3 {
		write(t, d, func(tx *Tx) error { return tx.SetMeta("k", "v") })
	}
	d.Write(context.Background(), func(*Tx) error { return errors.New("no") })
	if d.Commits() != 3 {
		t.Errorf("%d commits, want 3", d.Commits())
	}
}

// A catalog that a newer program migrated while it is open is written no more.
func TestWriteRefusesAMigratedCatalog(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	check(t, d.pool.withConn(func(c *conn) error { return c.script(fmt.Sprintf("PRAGMA user_version = %d", schema.Version+1)) }))
	err := d.Write(context.Background(), func(*Tx) error { t.Error("fn was run"); return nil })
	if !errors.Is(err, content.ErrNoStore) || content.Hint(err) == "" {
		t.Errorf("got %v", err)
	}
}

// startHolder starts a process that holds the write lock of dir until end is
// called.
func startHolder(t *testing.T, dir string) (pid int, end func()) {
	t.Helper()
	cmd := child(t, "hold", dir)
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("holder says %q, %v", line, err)
	}
	var once sync.Once
	end = func() { once.Do(func() { in.Close(); check(t, cmd.Wait()) }) }
	t.Cleanup(end)
	return cmd.Process.Pid, end
}

func TestWaitForAnotherProcessEndsInConflict(t *testing.T) {
	dir := t.TempDir()
	d := openDB(t, dir, Options{LockWait: 10 * time.Millisecond})
	pid, end := startHolder(t, dir)
	err := d.Write(context.Background(), func(*Tx) error { t.Error("fn was run"); return nil })
	if !errors.Is(err, content.ErrBusy) || !strings.Contains(err.Error(), fmt.Sprintf("process %d ", pid)) {
		t.Errorf("got %v, want ErrBusy with process %d", err, pid)
	}
	end()
	d.lock.wait = 10 * time.Second
	write(t, d, func(tx *Tx) error { return tx.SetMeta("k", "v") })
}

func TestWaitCanBeCancelled(t *testing.T) {
	dir := t.TempDir()
	d := openDB(t, dir, Options{})
	_, end := startHolder(t, dir)
	errStop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error)
	go func() { done <- d.Write(ctx, func(*Tx) error { t.Error("fn was run"); return nil }) }()
	cancel(errStop)
	if err := <-done; !errors.Is(err, errStop) {
		t.Errorf("got %v", err)
	}
	end()
	write(t, d, func(tx *Tx) error { return tx.SetMeta("k", "v") })
}

func TestWaitSaysForWhom(t *testing.T) {
	dir := t.TempDir()
	warned := make(chan string, 1)
	d := openDB(t, dir, Options{Warn: func(s string) { warned <- s }})
	d.lock.patience = time.Millisecond
	pid, end := startHolder(t, dir)
	done := make(chan error)
	go func() { done <- d.Write(context.Background(), func(tx *Tx) error { return tx.SetMeta("k", "v") }) }()
	if s := <-warned; !strings.Contains(s, fmt.Sprintf("process %d,", pid)) {
		t.Errorf("warned %q, want process %d", s, pid)
	}
	end()
	check(t, <-done)
}

// A holder that dies leaves the lock free.
func TestKilledHolderFreesTheLock(t *testing.T) {
	dir := t.TempDir()
	d := openDB(t, dir, Options{})
	cmd := child(t, "hold", dir)
	_, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	_, err = bufio.NewReader(out).ReadString('\n')
	check(t, err)
	check(t, cmd.Process.Kill())
	cmd.Wait()
	write(t, d, func(tx *Tx) error { return tx.SetMeta("k", "v") })
}

func TestGoroutinesTakeTurns(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				err := d.Write(context.Background(), func(tx *Tx) error {
					_, err := tx.nextSeq()
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	write(t, d, func(tx *Tx) error {
		if seq, err := tx.nextSeq(); seq != 81 {
			t.Errorf("after 80 changes the next is %d, %v", seq, err)
		}
		return nil
	})
}

// Locked keeps other writers out between transactions.
func TestLockedSpansTransactions(t *testing.T) {
	dir := t.TempDir()
	d := openDB(t, dir, Options{})
	other := openDB(t, dir, Options{LockWait: time.Millisecond})
	check(t, d.Locked(context.Background(), func(l *Locked) error {
		if err := l.Write(func(tx *Tx) error { return tx.SetMeta("k", "1") }); err != nil {
			return err
		}
		if err := other.Write(context.Background(), func(*Tx) error { return nil }); !errors.Is(err, content.ErrConflict) {
			t.Errorf("another writer got in: %v", err)
		}
		return l.Write(func(tx *Tx) error { return tx.SetMeta("k", "2") })
	}))
}

func TestQueryMayRunWithinItself(t *testing.T) {
	g := newGraph(t)
	g.held(1, 2)
	g.name("a.io/a:1", 1)
	g.name("a.io/b:1", 2)
	read(t, g.d, func(tx *Tx) error {
		n := 0
		for _, err := range tx.Refs("") {
			check(t, err)
			for _, err := range tx.Refs("") {
				check(t, err)
				n++
			}
		}
		if n != 4 {
			t.Errorf("%d of 4 pairs", n)
		}
		return nil
	})
}
