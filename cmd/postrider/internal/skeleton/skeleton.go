// Package skeleton writes the beginning of a plugin: a module that builds, passes its tests and does something, to be changed into what is wanted. Its files are
// under template; they are text/templates over [Plugin].
package skeleton

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed all:template
var files embed.FS

// Module is the path of the module that holds the SDK.
const Module = "github.com/postrider/postrider"

// Plugin is what is to be written.
type Plugin struct {
	Role    string // resolver or notifier
	Name    string // its described name, and that of its module
	Clone   string // an absolute path of a clone of Module, which stands in for a published version; "": there is none at hand
	Version string // the version of Module to require
}

// Write writes the plugin's files into dir, which it makes, and returns their names. A directory that holds something already is left as it is.
func Write(dir string, p Plugin) (written []string, err error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty: name another directory by --dir", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s can't be written to: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the plugin's directory: %w", err)
	}
	for _, folder := range []string{"template", path.Join("template", p.Role)} {
		entries, err := files.ReadDir(folder)
		if err != nil {
			return written, err
		}
		for _, entry := range entries {
			name, ok := strings.CutSuffix(entry.Name(), ".tmpl")
			if !ok {
				continue // the folders of the roles
			}
			if err := write(filepath.Join(dir, name), path.Join(folder, entry.Name()), p); err != nil {
				return written, err
			}
			written = append(written, name)
		}
	}
	return written, nil
}

func write(target, source string, p Plugin) error {
	t, err := template.New(path.Base(source)).ParseFS(files, source)
	if err != nil {
		return err
	}
	var content bytes.Buffer
	if err := t.Execute(&content, p); err != nil {
		return err
	}
	return os.WriteFile(target, content.Bytes(), 0o644)
}

// FindClone returns the clone of [Module] that a path lies in, or "".
func FindClone(from string) string {
	for dir := from; ; dir = filepath.Dir(dir) {
		if IsClone(dir) {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// IsClone reports whether a directory is the top of a clone of [Module].
func IsClone(dir string) bool {
	content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	line, _, _ := strings.Cut(string(content), "\n")
	return err == nil && strings.TrimSpace(line) == "module "+Module
}
