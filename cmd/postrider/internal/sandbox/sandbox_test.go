package sandbox

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// script writes an executable that stands in for postrider.
func script(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "postrider")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+content+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func nothingLeft(t *testing.T, parent string) {
	t.Helper()
	left, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 0 {
		t.Errorf("%s was left behind", left[0].Name())
	}
}

func TestADaemonThatEndsAtOnceIsQuotedAndLeavesNothing(t *testing.T) {
	parent := t.TempDir()
	_, err := Start(t.Context(), Config{Executable: script(t, "echo 'the disk is full' >&2; exit 1"), Parent: parent, Listen: "127.0.0.1:0"})
	if err == nil || !strings.Contains(err.Error(), "ended at once") || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("got %v, want what the daemon said", err)
	}
	nothingLeft(t, parent)
}

func TestGivingUpTheStartEndsTheProcess(t *testing.T) {
	parent := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Start(ctx, Config{Executable: script(t, "exec sleep 60"), Parent: parent, Listen: "127.0.0.1:0"}); err == nil {
		t.Error("a daemon that is never ready was taken for one that is")
	}
	nothingLeft(t, parent)
}

func TestAMissingPluginIsNamed(t *testing.T) {
	parent := t.TempDir()
	_, err := Start(t.Context(), Config{Executable: "/nowhere", Parent: parent, Plugins: []string{"/nowhere/notifier-http"}})
	if err == nil || !strings.Contains(err.Error(), "copy the plugin /nowhere/notifier-http") {
		t.Errorf("got %v, want the plugin's name", err)
	}
	nothingLeft(t, parent)
}

func TestTheDaemonIsNotConfiguredByTheUsersEnvironment(t *testing.T) {
	got := strings.Join(ownEnvironment([]string{"PATH=/bin", "POSTRIDER_DATA_DIR=/home/me/data", "HOME=/home/me"}), " ")
	if want := "PATH=/bin HOME=/home/me"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestKeepsTheEndOfTheLog(t *testing.T) {
	var l tail
	for range 1000 {
		_, _ = l.Write([]byte("line\n"))
	}
	_, _ = l.Write([]byte("the last one\n"))
	if got := l.String(); len(got) > tailLength || !strings.HasSuffix(got, "the last one") {
		t.Errorf("got %d bytes ending in %q", len(got), got[len(got)-20:])
	}
}
