package endtoend

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// shell is a terminal in which somebody follows a tutorial.
type shell struct {
	t   *testing.T
	dir string
	env []string
}

// types runs what a tutorial says to type, to its end.
func (s *shell) types(script string) string {
	s.t.Helper()
	c := exec.CommandContext(s.t.Context(), "sh", "-euc", script)
	c.Dir, c.Env = s.dir, s.env
	output, err := c.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v:\n%s\n%s", err, script, output)
	}
	return string(output)
}

// leaves runs what a tutorial says to leave running, until the test ends or ctrlC is pressed.
func (s *shell) leaves(script string) (says *lockedBuffer, ctrlC func()) {
	s.t.Helper()
	c := exec.Command("sh", "-euc", script)
	c.Dir, c.Env, c.SysProcAttr = s.dir, s.env, &syscall.SysProcAttr{Setpgid: true}
	says = &lockedBuffer{}
	c.Stdout, c.Stderr = says, says
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { c.Wait(); close(ended) }()
	s.t.Cleanup(func() {
		syscall.Kill(-c.Process.Pid, syscall.SIGKILL) //nolint:errcheck // it may have ended
		<-ended
	})
	return says, func() {
		syscall.Kill(-c.Process.Pid, syscall.SIGINT) //nolint:errcheck // it may have ended
		<-ended
	}
}

// TestTheTutorialForResolversWorksToItsEnd does what the README of resolver-orders says, up to the delivery. What differs: the clone is this repository with
// the binaries of these tests in its bin, and daemon and receiver take any free port.
func TestTheTutorialForResolversWorksToItsEnd(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "examples/resolver-orders/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string][]string{}
	for _, match := range regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$").FindAllStringSubmatch(string(readme), -1) {
		blocks[match[1]] = append(blocks[match[1]], match[2])
	}
	typed, files := blocks["sh"], blocks["yaml"]
	if len(typed) != 6 || len(files) != 2 || len(blocks["go"]) != 1 {
		t.Fatalf("the tutorial has %d blocks to type, %d of YAML and %d of Go, and this test knows 6, 2 and 1", len(typed), len(files), len(blocks["go"]))
	}
	clone := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "sdk", "proto"} {
		if err := os.Symlink(filepath.Join(root, name), filepath.Join(clone, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(bin, filepath.Join(clone, "bin")); err != nil {
		t.Fatal(err)
	}
	otherwise := strings.NewReplacer("POSTRIDER=$HOME/postrider ", "POSTRIDER="+clone+" ", "make -C $POSTRIDER build\n", "")
	s := &shell{t, t.TempDir(), append(os.Environ(), "GOSUMDB=off", "GOFLAGS=-buildvcs=false", "GOWORK=off", "POSTRIDER="+clone, "POSTRIDER_LISTEN=127.0.0.1:0")}

	s.types(otherwise.Replace(typed[0]))
	s.dir = filepath.Join(s.dir, "customers")
	for name, content := range map[string]string{"main.go": blocks["go"][0], "webhooks.yaml": files[0], "postrider.yaml": files[1]} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.types(typed[1] + otherwise.Replace(typed[2]))
	got, _ := s.leaves(strings.TrimSpace(typed[3]) + " --address 127.0.0.1:0")
	said, ctrlC := s.leaves(typed[4])
	var receiver []string
	eventually(t, "receiver and daemon are there", func() bool {
		receiver = regexp.MustCompile(`Listening on http://(\S+);`).FindStringSubmatch(got.tail(4000))
		_, err := os.Stat(filepath.Join(s.dir, "data/address"))
		return err == nil && receiver != nil
	})
	s.types(strings.ReplaceAll(typed[5], "127.0.0.1:8076", receiver[1]))
	eventually(t, "the receiver shows the delivery", func() bool { return strings.Contains(got.tail(4000), `"email": "alice@example.com"`) })
	if shown := got.tail(4000); !strings.Contains(shown, `"type": "customer.registered"`) {
		t.Errorf("the receiver shows\n%s", shown)
	}
	ctrlC()
	if log := said.tail(4000); !strings.Contains(log, "stopping") {
		t.Errorf("the daemon said\n%s", log)
	}
}
