package cmd

import (
	"encoding/json"
	"strings"

	"dist.example/layer"
)

// aboutFlags are what a manifest says of itself.
type aboutFlags struct {
	Annotation []string `sep:"none" placeholder:"KEY=VALUE" complete:"none" help:"Annotation of the manifest or index, set or replaced. ${repeat}"`
	Subject    string   `placeholder:"ID" complete:"id" help:"Manifest or index, held here, that this one is about, which makes it a referrer."`
}

func (f aboutFlags) annotations() (map[string]string, error) {
	return parsePairs("--annotation", f.Annotation)
}

// settingFlags are how an image is run.
type settingFlags struct {
	Entrypoint *string  `placeholder:"WORDS" complete:"none" help:"Program of the image: a JSON array, or a single word."`
	Cmd        *string  `placeholder:"WORDS" complete:"none" help:"Arguments of the program, or the program where there is no entrypoint: a JSON array, or a single word."`
	Env        []string `sep:"none" placeholder:"KEY=VALUE" complete:"none" help:"Environment variable of the image, set or replaced. ${repeat}"`
	Label      []string `sep:"none" placeholder:"KEY=VALUE" complete:"none" help:"Label of the image, set or replaced. ${repeat}"`
	User       *string  `placeholder:"USER" complete:"none" help:"User, and perhaps :GROUP, that the image runs as."`
	Workdir    *string  `placeholder:"PATH" complete:"none" help:"Folder that the program starts in."`
	Expose     []string `sep:"none" placeholder:"PORT" complete:"none" help:"Port that the program listens on, added: 8080 or 53/udp. ${repeat}"`
	Volume     []string `sep:"none" placeholder:"PATH" complete:"none" help:"Folder for data that outlives the container, added. ${repeat}"`
	StopSignal *string  `placeholder:"SIGNAL" complete:"words:SIGTERM,SIGINT,SIGQUIT,SIGHUP,SIGKILL,SIGUSR1,SIGUSR2" help:"Signal that ends the program, for example SIGINT."`
}

func (f settingFlags) settings() (layer.Settings, error) {
	s := layer.Settings{
		User: f.User, WorkDir: f.Workdir, StopSignal: f.StopSignal, Env: f.Env, Expose: f.Expose, Volumes: f.Volume,
	}
	var err error
	if s.Entrypoint, err = parseWords("--entrypoint", f.Entrypoint); err != nil {
		return s, err
	}
	if s.Cmd, err = parseWords("--cmd", f.Cmd); err != nil {
		return s, err
	}
	s.Labels, err = parsePairs("--label", f.Label)
	return s, err
}

// parseWords reads the words of a program: a JSON array of strings, or one word.
// What is not given is nil, and an empty word is an empty list.
func parseWords(flag string, given *string) (*[]string, error) {
	words := []string{}
	switch {
	case given == nil:
		return nil, nil
	case *given == "":
		return &words, nil
	case !strings.HasPrefix(*given, "["):
		return &[]string{*given}, nil
	}
	var list []*string // null is no word
	if err := json.Unmarshal([]byte(*given), &list); err != nil {
		return nil, usagef("%s %s: want a JSON array of strings, or a single word", flag, *given)
	}
	for _, word := range list {
		if word == nil {
			return nil, usagef("%s %s: want a JSON array of strings, or a single word", flag, *given)
		}
		words = append(words, *word)
	}
	return &words, nil
}

// parsePairs reads KEY=VALUE; no key stands twice.
func parsePairs(flag string, words []string) (map[string]string, error) {
	pairs := map[string]string{}
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if !ok || key == "" {
			return nil, usagef("%s %s: want KEY=VALUE", flag, word)
		}
		if _, ok := pairs[key]; ok {
			return nil, usagef("%s %s: %s is given twice", flag, word, key)
		}
		pairs[key] = value
	}
	return pairs, nil
}
