package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/core/bolt"
	"github.com/postrider/postrider/core/daemon"
)

func (a *app) db() *cobra.Command {
	c := &cobra.Command{
		Use:   "db",
		Short: "Back up, restore and check the database",
		Long: `Look after the embedded database of a data directory. backup works while the daemon runs, and without it; the others open the file
themselves, so the daemon must be stopped. While it runs, queue, delivery and dead-letter tell what is in the database.`,
		Example: `  postrider db backup /srv/backups/postrider-monday.db
  postrider db restore /srv/backups/postrider-monday.db
  postrider db check --data-dir /var/lib/postrider`,
	}
	c.AddCommand(a.dbBackup(), a.dbRestore(), a.dbCheck(), a.dbStats())
	return c
}

// databaseFlags are those that say which data directory.
func databaseFlags(c *cobra.Command) *connection {
	var of connection
	c.Flags().StringVar(&of.dataDir, "data-dir", "", "the data `directory` (default: the configuration's)")
	c.Flags().StringVar(&of.config, "config", "", "the configuration `file` (default: postrider.yaml, if there is one)")
	return &of
}

// inspect opens the file of a data directory, and never makes one.
func (a *app) inspect(of *connection) (db *bolt.Inspection, path string, err error) {
	dir, err := a.dataDir(of)
	if err != nil {
		return nil, "", err
	}
	path = filepath.Join(dir, daemon.DatabaseFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, path, fmt.Errorf("there is no database in %s: no daemon has run there yet; --data-dir names another directory", dir)
	}
	db, err = bolt.Inspect(path)
	return db, path, err
}

func (a *app) dbCheck() *cobra.Command {
	c := &cobra.Command{
		Use: "check", Short: "Verify every record, its checksum, and that the indexes agree", Args: takes(),
		Long: "Verify the whole file: its pages, the checksum of every record, and that the indexes agree. It changes nothing.",
	}
	of, asJSON := databaseFlags(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		started := time.Now()
		db, path, err := a.inspect(of)
		if err != nil {
			return err
		}
		failed := db.Check(c.Context())
		err = db.Close()
		if *asJSON {
			result := struct {
				Path    string   `json:"path"`
				OK      bool     `json:"ok"`
				Seconds float64  `json:"seconds"`
				Errors  []string `json:"errors"`
			}{path, failed == nil, time.Since(started).Seconds(), []string{}}
			if failed != nil {
				result.Errors = append(result.Errors, failed.Error())
			}
			err = errors.Join(err, a.printJSON(result))
		} else if failed == nil {
			a.sayf("%s is sound: checked in %s.", path, milliseconds(float64(time.Since(started).Microseconds())/1000))
		}
		return errors.Join(failed, err)
	}
	return c
}

// databaseStats is bolt.Stats as --json prints it.
type databaseStats struct {
	Path        string `json:"path"`
	Size        int64  `json:"size_bytes"`
	Free        int64  `json:"free_bytes"`
	Subscribers int    `json:"subscribers"`
	Events      int    `json:"events"`
	Open        int    `json:"open"`
	Scheduled   int    `json:"scheduled"`
	Attempts    int    `json:"attempts"`
	DeadLetters int    `json:"dead_letters"`
}

func (a *app) dbStats() *cobra.Command {
	c := &cobra.Command{Use: "stats", Short: "Say what the database holds", Args: takes()}
	of, asJSON := databaseFlags(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		db, path, err := a.inspect(of)
		if err != nil {
			return err
		}
		s, err := db.Stats(c.Context())
		if err = errors.Join(err, db.Close()); err != nil {
			return err
		}
		if *asJSON {
			return a.printJSON(databaseStats{
				Path: path, Size: s.Size, Free: s.Free, Subscribers: s.Subscribers, Events: s.Events, Open: s.Open,
				Scheduled: s.Scheduled, Attempts: s.Attempts, DeadLetters: s.DeadLetters,
			})
		}
		var f facts
		f.add("database", path)
		f.add("size", fmt.Sprintf("%s, of which %s are free for reuse", size(s.Size), size(s.Free)))
		f.add("subscribers", thousands(s.Subscribers))
		f.add("events", thousands(s.Events))
		f.add("open", fmt.Sprintf("%s, of which %s are due later", thousands(s.Open), thousands(s.Scheduled)))
		f.add("attempts", thousands(s.Attempts))
		f.add("dead letters", thousands(s.DeadLetters))
		a.printFacts(f)
		return nil
	}
	return c
}
