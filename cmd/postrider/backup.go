package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
	"github.com/postrider/postrider/core/bolt"
	"github.com/postrider/postrider/core/daemon"
)

func (a *app) dbBackup() *cobra.Command {
	c := &cobra.Command{
		Use: "backup FILE", Short: "Copy the database to a file, while the daemon runs or not", Args: takes("FILE"),
		Long: `Copy the whole database, as it is at one moment, to a new file, and check every record of the copy. The daemon goes on working meanwhile; it
needs as much free space in its data directory as the database takes. The file holds payloads and verification tokens: keep it as safe as the
data directory.`,
		Example: `  postrider db backup /srv/backups/postrider-$(date +%F).db`,
	}
	of, asJSON := connectionFlags(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		length, err := newDatabase(c.Context(), args[0], func(w io.Writer) error { return a.copyDatabase(c.Context(), of, w) })
		if err != nil {
			return fmt.Errorf("no backup was made: %w", err)
		}
		if *asJSON {
			return a.printJSON(struct {
				Path string `json:"path"`
				Size int64  `json:"size_bytes"`
			}{args[0], length})
		}
		a.sayf("The database is backed up to %s (%s), and the copy is sound.", args[0], size(length))
		return nil
	}
	return c
}

// copyDatabase writes the database to w: the file of the data directory where no daemon uses it, else what the daemon sends.
func (a *app) copyDatabase(ctx context.Context, of *connection, w io.Writer) error {
	if of.url == "" && a.env("POSTRIDER_URL") == "" {
		db, _, err := a.inspect(of)
		if err == nil {
			_, err = db.WriteTo(w)
			return errors.Join(err, db.Close())
		}
		if !errors.Is(err, bolt.ErrInUse) {
			return err
		}
	}
	daemon, err := a.connect(of)
	if err != nil {
		return err
	}
	return daemon.Download(ctx, client.Request{Method: http.MethodGet, Path: []string{"v1", "backup"}}, w)
}

// newDatabase makes a database file at path, which must not exist, and returns its length in bytes. It is filled by write under another name, synced
// and checked before it gets its own.
func newDatabase(ctx context.Context, path string, write func(io.Writer) error) (length int64, err error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%s is there already: name a new file, or remove that one", path)
	}
	part := path + ".part"
	file, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	defer os.Remove(part)
	err = write(file)
	if info, failed := file.Stat(); failed == nil {
		length = info.Size()
	}
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return 0, err
	}
	copied, err := bolt.Inspect(part)
	if err != nil {
		return 0, err
	}
	if err := errors.Join(copied.Check(ctx), copied.Close()); err != nil {
		return 0, err
	}
	if err := os.Link(part, path); err != nil {
		return 0, err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return 0, err
	}
	return length, errors.Join(dir.Sync(), dir.Close())
}

func (a *app) dbRestore() *cobra.Command {
	c := &cobra.Command{
		Use: "restore FILE", Short: "Put a backup in the place of the database", Args: takes("FILE"),
		Long: `Check every record of a backup, and put a copy of it in the place of the database, which is kept beside it under another name. The daemon
must be stopped.

What was accepted after the backup is not in it; what was delivered after it is delivered again, with the same webhook-id.`,
		Example: `  postrider db restore /srv/backups/postrider-monday.db`,
	}
	of, asJSON := databaseFlags(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		dir, err := a.dataDir(of)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the data directory: %w", err)
		}
		path := filepath.Join(dir, daemon.DatabaseFile)
		kept, err := bolt.Restore(c.Context(), args[0], path)
		if err != nil {
			return fmt.Errorf("nothing was restored: %w", err)
		}
		if *asJSON {
			return a.printJSON(struct {
				Path string `json:"path"`
				Kept string `json:"kept,omitempty"`
			}{path, kept})
		}
		a.sayf("%s is now what the backup holds.", path)
		if kept != "" {
			a.sayf("What was there before is kept as %s.", kept)
		}
		return nil
	}
	return c
}
