package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/postrider/postrider/core/strictyaml"
)

// longestSecret is what a file of a secret may hold, in bytes: certificates and keys fit, a mistake doesn't.
const longestSecret = 64 << 10

// reference is what stands in a plugin's configuration for what is somewhere else; with two dollars, for itself.
var reference = regexp.MustCompile(`\$?\$\{(env|file):([^}]*)\}`)

// written is where the configuration of a plugin comes from.
type written struct {
	value strictyaml.Value
	path  string // the keys that lead to it
	dir   string // that the paths of files in it are relative to
}

// FillSecrets replaces ${env:NAME} and ${file:PATH} in the configurations of plugins and notifiers by what the environment, as of [os.Environ], and
// the files have there. Load leaves it out, because most commands need no secrets, and may be run by those who must not see them. The errors name the
// key, and hold no secret.
func (c *Config) FillSecrets(env []string) error {
	var errs []error
	c.Plugins = maps.Clone(c.Plugins)
	for _, name := range slices.Sorted(maps.Keys(c.Plugins)) {
		p := c.Plugins[name]
		errs = append(errs, p.written.fill(env, &p.Config, &p.Filled))
		c.Plugins[name] = p
	}
	c.Notifiers = maps.Clone(c.Notifiers)
	for _, name := range slices.Sorted(maps.Keys(c.Notifiers)) {
		n := c.Notifiers[name]
		errs = append(errs, n.written.fill(env, &n.Config, &n.Filled))
		c.Notifiers[name] = n
	}
	return errors.Join(errs...)
}

// written remembers where a configuration stands that has references to be filled in; nil: it has none.
func (in input) written(value strictyaml.Value, path string, config json.RawMessage) *written {
	if !bytes.Contains(config, []byte("${")) {
		return nil
	}
	return &written{value: value, path: path, dir: in.dir}
}

func (w *written) fill(env []string, config *json.RawMessage, found *[]string) (err error) {
	if w == nil {
		return nil
	}
	s := &secrets{env: env, dir: w.dir}
	*config, err = w.value.JSONWith(w.path, s.fill)
	*found = s.found
	return err
}

// secrets looks up what a configuration takes from elsewhere, and remembers it.
type secrets struct {
	env   []string
	dir   string
	found []string
}

// fill returns text with its references resolved. path is the key that it stands under, for messages, which never hold what was found.
func (s *secrets) fill(at strictyaml.Value, path, text string) (string, error) {
	if !strings.Contains(text, "${") {
		return text, nil
	}
	var failed error
	filled := reference.ReplaceAllStringFunc(text, func(match string) string {
		if escaped, ok := strings.CutPrefix(match, "$$"); ok {
			return "$" + escaped
		}
		parts := reference.FindStringSubmatch(match)
		secret, err := s.look(parts[1], parts[2])
		if err != nil && failed == nil {
			failed = at.Errorf("key %q: ${%s:%s}: %w", path, parts[1], parts[2], err)
		}
		return secret
	})
	return filled, failed
}

func (s *secrets) look(kind, name string) (secret string, err error) {
	if kind == "env" {
		for _, entry := range s.env {
			if value, ok := strings.CutPrefix(entry, name+"="); ok {
				secret = value
			}
		}
		if secret == "" {
			return "", fmt.Errorf("the environment variable %q is not set, or empty", name)
		}
	} else if secret, err = s.read(name); err != nil {
		return "", err
	}
	s.found = append(s.found, secret)
	return secret, nil
}

// read returns what a file holds, without the line's end that editors add.
func (s *secrets) read(name string) (string, error) {
	if name == "" {
		return "", errors.New("name the file, as ${file:/run/secrets/token}")
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(s.dir, name)
	}
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, longestSecret+1))
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(content), "\r\n")
	switch {
	case len(content) > longestSecret:
		return "", fmt.Errorf("%s holds more than %d bytes", name, longestSecret)
	case secret == "":
		return "", fmt.Errorf("%s is empty", name)
	}
	return secret, nil
}
