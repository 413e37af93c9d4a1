package daemon

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/postrider/postrider/core/pluginhost"
)

// The files of a data directory, which is 0700.
const (
	DatabaseFile = "postrider.db"
	TokenFile    = "admin-token" // 0600: the admin's bearer token
	AddressFile  = "address"     // host:port of the daemon that runs on this directory
)

// adminToken returns the admin's token, made at the first start.
func adminToken(dir string) (string, error) {
	path := filepath.Join(dir, TokenFile)
	content, err := os.ReadFile(path)
	if err == nil {
		token := strings.TrimSpace(string(content))
		if token == "" {
			return "", fmt.Errorf("%s is empty: remove it to have a new admin token made", path)
		}
		return token, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the admin token: %w", err)
	}
	token := "prt_" + rand.Text() // 130 random bits
	if err := writeFile(path, token+"\n"); err != nil {
		return "", fmt.Errorf("make the admin token: %w", err)
	}
	return token, nil
}

// writeFile makes path appear whole or not at all, readable by its owner alone.
func writeFile(path, content string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func writeAddress(dir, address string) error {
	return writeFile(filepath.Join(dir, AddressFile), address+"\n")
}

func removeAddress(dir string) { os.Remove(filepath.Join(dir, AddressFile)) }

// socketDir returns where the plugins' sockets go: into the data directory, unless its path is too long for that. Call remove when the
// plugins have ended.
func socketDir(dir string) (sockets string, remove func(), err error) {
	sockets = filepath.Join(dir, "sockets")
	if len(sockets) <= pluginhost.MaxSocketDir {
		return sockets, func() {}, nil
	}
	return temporarySockets()
}

// temporarySockets makes a directory for sockets that lasts until remove.
func temporarySockets() (sockets string, remove func(), err error) {
	sockets, err = os.MkdirTemp("", "postrider-")
	if err != nil {
		return "", nil, fmt.Errorf("make a directory for the plugins' sockets: %w", err)
	}
	return sockets, func() { os.RemoveAll(sockets) }, nil
}
