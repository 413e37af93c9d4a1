package host_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/sdk/host"
)

func TestLaunchLearnsWhatThePluginIs(t *testing.T) {
	d := launch(t, "resolver").Description()
	if d.Name != "subject" || d.Version != "1.2.3" || d.Role != host.RoleResolver || d.MaxInFlight != 16 {
		t.Errorf("got %+v", d)
	}
	if len(d.Services) != 2 || d.Services[0].Class != "Subject" || d.Services[0].Method != "echo" || d.Services[0].Description != "Gives back its text." {
		t.Errorf("services: got %+v", d.Services)
	}
	if !strings.Contains(string(d.Services[0].Arguments), `"required":["text"]`) {
		t.Errorf("the schema of the arguments requires something else than the text: %s", d.Services[0].Arguments)
	}
	if !strings.Contains(string(d.ConfigSchema), `"greeting"`) {
		t.Errorf("the schema of the configuration lacks the greeting: %s", d.ConfigSchema)
	}
	if d := launch(t, "notifier").Description(); d.Role != host.RoleNotifier || d.MaxInFlight != 1024 || d.Services != nil {
		t.Errorf("got %+v", d)
	}
}

func TestLaunchSaysWhatIsWrongWithAPlugin(t *testing.T) {
	for role, want := range map[string]string{
		"garbage":     `prints "Hello, world!" where a Postrider plugin prints its handshake`,
		"exit":        "exits at once, without the handshake of a Postrider plugin (exit status 3); the last it said: no licence found",
		"crash":       "exits at once, without the handshake of a Postrider plugin (exit status 2); the last it said: panic: out of luck",
		"silent":      "does not answer within 500ms of its start: the last it said: waiting for a database",
		"netrpc":      "speaks net/rpc, not gRPC",
		"version":     "speaks version 9 of the plugin protocol, and this daemon version 1",
		"unreachable": "shakes hands, but can't be connected to",
	} {
		t.Run(role, func(t *testing.T) {
			begin := time.Now()
			_, err := host.Launch(t.Context(), host.Config{
				Path: subject, SocketDir: socketDir(t), Env: []string{"SUBJECT=" + role}, StartTimeout: 500 * time.Millisecond,
			})
			wantLaunchError(t, err, subject, want)
			if took := time.Since(begin); took > 3*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestLaunchSaysWhatIsWrongWithAFile(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if err := os.Symlink("/dev/null", filepath.Join(dir, "device")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "absent"):        "can't be launched: no such file or directory",
		dir:                                 "is a directory",
		filepath.Join(dir, "device"):        "is not a regular file",
		file("plain", "#!/bin/sh\n", 0o644): "is not executable: run chmod +x",
		file("alien", "\x7fELF, or so it says", 0o755):             "is not a program that this machine can run",
		file("script", "#!/bin/sh\necho hi\n", 0o755):              `prints "hi" where`,
		file("quiet-script", "#!/bin/sh\nexit 0\n", 0o755):         "exits at once, without the handshake of a Postrider plugin (exit status 0)",
		file("lost", "#!/no/such/interpreter\n", 0o755):            "can't be launched: fork/exec",
		file("long-line", "#!/bin/sh\nyes | tr -d '\\n'\n", 0o755): "prints \"yyyyyyyy",
	} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			_, err := host.Launch(t.Context(), host.Config{Path: path, SocketDir: socketDir(t), Env: []string{"PATH=" + os.Getenv("PATH")}})
			wantLaunchError(t, err, path, want)
		})
	}
}

func wantLaunchError(t *testing.T, err error, path, want string) {
	t.Helper()
	var launch *host.LaunchError
	if !errors.As(err, &launch) {
		t.Fatalf("got %v, want a *LaunchError", err)
	}
	if launch.Path != path || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path) {
		t.Errorf("got %q\nwant it to name %s and to contain %q", err, path, want)
	}
}

func TestLaunchRefusesASocketDirectoryWithALongPath(t *testing.T) {
	_, err := host.Launch(t.Context(), host.Config{Path: subject, SocketDir: "/tmp/" + strings.Repeat("long", 30)})
	if err == nil || !strings.Contains(err.Error(), "choose a shorter one") {
		t.Errorf("got %v", err)
	}
}

func TestLaunchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := host.Launch(ctx, host.Config{Path: subject, Env: []string{"SUBJECT=silent"}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestAPluginGetsNothingOfTheDaemonsEnvironment(t *testing.T) {
	t.Setenv("DATABASE_PASSWORD", "hunter2")
	got, err := launch(t, "resolver").Resolve(t.Context(), misbehave("environment"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(got), "hunter2") {
		t.Errorf("the plugin sees the daemon's environment: %s", got)
	}
	if !strings.Contains(string(got), "SUBJECT=resolver") {
		t.Errorf("the plugin lacks the environment that it was given: %s", got)
	}
}
