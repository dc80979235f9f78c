package cmd

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"time"
)

// session is one run of one verb: what it reads and writes, and the globals.
type session struct {
	ctx            context.Context
	stdin          io.Reader
	terminal       io.Reader // stdin as it is, for asking a person who may sit there
	stdout, stderr io.Writer
	getenv         func(string) string
	globals        *globalFlags
	progress       *progress
	hook           func(point string) // see Program
	freeBytes      func(dir string) (uint64, error)
	epoch          time.Time // of archives that are written
	policy         string    // file that --policy names, "" for none
	passphrase     secret    // from the environment
	closers        []func() error
}

// close gives back what the verb opened, last first.
func (s *session) close() error {
	s.progress.stop()
	var first error
	for i := len(s.closers) - 1; i >= 0; i-- {
		if err := s.closers[i](); err != nil && first == nil {
			first = err
		}
	}
	s.closers = nil
	return first
}

// warn prints a message for people.
func (s *session) warn(text string) { s.progress.message("dist: " + text) }

// format is how results are printed.
func (s *session) format() outputFormat { return s.globals.Format }

// object prints one result on stdout.
func (s *session) object(v any, human func(io.Writer) error) error {
	return printObject(s.stdout, s.format(), v, human)
}

// result is object for a verb that has -q: then its ids alone are printed, whatever the
// format, so that a DIST_FORMAT for all commands breaks no pipeline.
func (s *session) result(q quietFlag, ids []string, v any, human func(io.Writer) error) error {
	if !q.Quiet {
		return s.object(v, human)
	}
	return printIDs(s.stdout, ids)
}

// identified is result for a verb that prints its one id for people, too.
func (s *session) identified(q quietFlag, id string, v any) error {
	return s.result(q, []string{id}, v, line(id))
}

func printIDs(out io.Writer, ids []string) error {
	w := bufio.NewWriter(out)
	for _, id := range ids {
		fmt.Fprintln(w, id) // an error stays with w
	}
	return w.Flush()
}

// age is how long ago t was.
func (s *session) age(t time.Time) string { return humanAge(t, time.Now()) }

// line is a human writer of one line.
func line(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := fmt.Fprintln(w, text)
		return err
	}
}
