package budgets

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The children of these tests are this test binary; the folder that they share
// is in the environment.
const childEnv = "DIST_BUDGETS_CHILD"

func TestMain(m *testing.M) {
	role, dir, ok := strings.Cut(os.Getenv(childEnv), ":")
	if !ok {
		os.Exit(m.Run())
	}
	s, err := New(Options{
		Limits: Limits{Rate: 40_000, Connections: 1}, Clock: newStopped(),
		Dirs: func() []string { return []string{dir} },
		Warn: func(msg string) { fmt.Fprintln(os.Stderr, msg); os.Exit(1) },
	})
	if err == nil {
		err = map[string]func(*Set) error{"drain": childDrains, "hold": childHolds}[role](s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// childDrains takes bytes while there are some and prints how many it got.
func childDrains(s *Set) error {
	n := 0
	for {
		err := s.Host("a").Bytes(context.Background(), 10)
		if errors.Is(err, errWouldWait) {
			_, err = fmt.Println(n)
			return err
		}
		if err != nil {
			return err
		}
		n += 10
	}
}

// childHolds takes the connection, says so, and keeps it until it is killed.
func childHolds(s *Set) error {
	slot, err := s.Connect(context.Background(), "a", nil)
	if err != nil {
		return err
	}
	fmt.Println("held")
	_, err = io.Copy(io.Discard, os.Stdin)
	slot.Release()
	return err
}

func child(t *testing.T, role, dir string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childEnv+"="+role+":"+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// Ten processes get, together and exactly, what one would get while time stands
// still.
func TestProcessesShareABudget(t *testing.T) {
	dir := t.TempDir()
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		total int
	)
	for range 10 {
		cmd := child(t, "drain", dir)
		wg.Go(func() {
			out, err := cmd.Output()
			n, err2 := strconv.Atoi(strings.TrimSpace(string(out)))
			if err := errors.Join(err, err2); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			total += n
		})
	}
	wg.Wait()
	if total != 10_000 {
		t.Errorf("ten processes took %d bytes, a burst is 10000", total)
	}
}

func TestAKilledProcessGivesItsConnectionBack(t *testing.T) {
	dir := t.TempDir()
	cmd := child(t, "hold", dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "held\n" {
		t.Fatalf("%q, %v", line, err)
	}
	s := share(t, dir, Options{Limits: Limits{Connections: 1}, Clock: newStopped()})
	if _, err := s.Connect(t.Context(), "a", nil); !errors.Is(err, errWouldWait) {
		t.Errorf("while the other process holds it: %v", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	slot, err := s.Connect(t.Context(), "a", nil)
	if err != nil {
		t.Fatalf("after its end: %v", err)
	}
	slot.Release()
}
