package layer

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"dist.example/content"
)

// Check refuses (ErrInvalid) settings that no runtime could follow.
func (s Settings) Check() error {
	if err := s.checkTexts(); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, pair := range s.Env {
		key, _, ok := strings.Cut(pair, "=")
		switch {
		case !ok || key == "":
			return fmt.Errorf("environment %q: %w: want KEY=VALUE", pair, content.ErrInvalid)
		case seen[key]:
			return fmt.Errorf("environment %q: %w: %s has a value already", pair, content.ErrInvalid, key)
		}
		seen[key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		if key == "" {
			return fmt.Errorf("label: %w: the key is empty", content.ErrInvalid)
		}
	}
	for _, port := range s.Expose {
		if !isPort(port) {
			return fmt.Errorf("port %q: %w: want 1 to 65535, perhaps with /tcp, /udp or /sctp", port, content.ErrInvalid)
		}
	}
	for _, v := range s.Volumes {
		if !isAbsolute(v) {
			return fmt.Errorf("volume %q: %w: want an absolute path", v, content.ErrInvalid)
		}
	}
	return nil
}

// checkTexts looks at every text that is given: a NUL byte ends what a system takes
// from it, and JSON has no bytes that are not UTF-8.
func (s Settings) checkTexts() error {
	texts := slices.Concat(s.Env, s.Expose, s.Volumes, slices.Sorted(maps.Keys(s.Labels)), slices.Collect(maps.Values(s.Labels)))
	for _, list := range []*[]string{s.Entrypoint, s.Cmd} {
		if list != nil {
			texts = append(texts, *list...)
		}
	}
	for _, text := range []*string{s.User, s.WorkDir, s.StopSignal} {
		if text != nil {
			texts = append(texts, *text)
		}
	}
	for _, text := range texts {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return fmt.Errorf("%q: %w: want UTF-8 without NUL", text, content.ErrInvalid)
		}
	}
	if s.WorkDir != nil && *s.WorkDir != "" && !isAbsolute(*s.WorkDir) {
		return fmt.Errorf("working folder %q: %w: want an absolute path", *s.WorkDir, content.ErrInvalid)
	}
	if s.StopSignal != nil && *s.StopSignal != "" && !isSignal(*s.StopSignal) {
		return fmt.Errorf("stop signal %q: %w: want a name such as SIGTERM, or a number", *s.StopSignal, content.ErrInvalid)
	}
	return nil
}

// isAbsolute takes the paths of Linux and those of Windows, whose images may be
// made anywhere.
func isAbsolute(path string) bool {
	drive := len(path) > 2 && path[1] == ':' && (path[2] == '\\' || path[2] == '/')
	return drive || strings.HasPrefix(path, "/")
}

func isPort(word string) bool {
	number, protocol, said := strings.Cut(word, "/")
	n, err := strconv.ParseUint(number, 10, 16)
	return err == nil && n > 0 && number[0] != '0' && (!said || protocol == "tcp" || protocol == "udp" || protocol == "sctp")
}

// isSignal takes what image-spec has, SIGKILL or SIGRTMIN+3, and a number.
func isSignal(word string) bool {
	if n, err := strconv.ParseUint(word, 10, 8); err == nil {
		return n > 0
	}
	name, ok := strings.CutPrefix(word, "SIG")
	return ok && name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-") == ""
}
