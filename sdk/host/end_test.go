package host_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/sdk/host"
)

// promptly fails the test if f takes longer than a second (much longer than it should, for slow machines).
func promptly(t *testing.T, what string, f func()) {
	t.Helper()
	begin := time.Now()
	f()
	if took := time.Since(begin); took > time.Second {
		t.Errorf("%s took %v", what, took)
	}
}

func TestAKilledPluginFailsWhatIsInFlightAtOnce(t *testing.T) {
	p, logs := launchLogged(t, "resolver")
	answers := make(chan error, 8)
	for range cap(answers) {
		go func() {
			_, err := p.Resolve(t.Context(), misbehave("block"))
			answers <- err
		}()
	}
	eventually(t, "all are in flight", func() bool { return strings.Count(logs.String(), "blocking") == cap(answers) })
	promptly(t, "failing them", func() {
		if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for range cap(answers) {
			if err := <-answers; !errors.Is(err, host.ErrCrashed) {
				t.Errorf("got %v, want ErrCrashed", err)
			}
		}
		<-p.Done()
	})
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("Err: got %v", err)
	}
	if _, err := p.Resolve(t.Context(), echo(`{"text":"a"}`)); !errors.Is(err, host.ErrCrashed) {
		t.Errorf("after its end: got %v", err)
	}
	if err := p.Health(t.Context()); !errors.Is(err, host.ErrCrashed) {
		t.Errorf("health after its end: got %v", err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Errorf("closing what is gone: %v", err)
	}
}

func TestTheEndOfAPluginIsExplained(t *testing.T) {
	p, _ := launchLogged(t, "resolver")
	if _, err := p.Resolve(t.Context(), misbehave("exit")); !errors.Is(err, host.ErrCrashed) {
		t.Errorf("got %v", err)
	}
	<-p.Done()
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("got %v", err)
	}
}

func TestAStoppedPluginIsStillClosedPromptly(t *testing.T) {
	p := launch(t, "resolver")
	freeze(t, p.PID())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Health(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("health: got %v", err)
	}
	if _, err := p.Resolve(ctx, echo(`{"text":"a"}`)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("resolve: got %v", err)
	}
	begin := time.Now()
	if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close, with a request in flight: got %v", err)
	}
	if took := time.Since(begin); took > 3*time.Second { // of which StopGrace is one
		t.Errorf("closing took %v", took)
	}
	if running(p.PID()) {
		t.Errorf("process %d still runs", p.PID())
	}
}

func TestAStoppedPluginIsKilledAtOnce(t *testing.T) {
	p := launch(t, "resolver")
	freeze(t, p.PID())
	promptly(t, "killing it", func() {
		p.Kill()
		<-p.Done()
	})
	if running(p.PID()) {
		t.Errorf("process %d still runs", p.PID())
	}
	if err := p.Err(); err != nil {
		t.Errorf("an end that was asked for needs no reason, got %v", err)
	}
}

func TestKillingAPluginKillsWhatItStarted(t *testing.T) {
	for name, kill := range map[string]func(*host.Process){
		"by Kill":   (*host.Process).Kill,
		"by itself": func(p *host.Process) { syscall.Kill(p.PID(), syscall.SIGKILL) },
	} {
		t.Run(name, func(t *testing.T) {
			p := launch(t, "resolver")
			got, err := p.Resolve(t.Context(), misbehave("child"))
			var pid int
			if err == nil {
				err = json.Unmarshal(got, &pid)
			}
			if err != nil || !running(pid) {
				t.Fatalf("its child: %s, %v", got, err)
			}
			kill(p)
			<-p.Done()
			eventually(t, "its child is gone", func() bool { return !running(pid) })
		})
	}
}

func TestCloseWaitsForWhatIsInFlight(t *testing.T) {
	p, logs := launchLogged(t, "resolver")
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { p.Resolve(ctx, misbehave("block")) }) //nolint:errcheck
	logs.waitFor(t, "blocking")
	closed := make(chan error)
	go func() { closed <- p.Close(t.Context()) }()
	eventually(t, "new requests are refused", func() bool {
		_, err := p.Resolve(t.Context(), echo(`{"text":"a"}`))
		return errors.Is(err, host.ErrStopping)
	})
	select {
	case <-closed:
		t.Error("closed with a request in flight")
	default:
	}
	cancel() // lets the plugin answer
	if err := <-closed; err != nil {
		t.Errorf("got %v", err)
	}
	group.Wait()
	if err := p.Close(t.Context()); err != nil {
		t.Errorf("closing twice: got %v", err)
	}
}

func TestAPluginDiesWithItsDaemon(t *testing.T) {
	daemon := exec.Command(os.Args[0])
	daemon.Env = []string{"HOST_OF=" + subject}
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, convErr := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || convErr != nil || !running(pid) {
		t.Fatalf("the daemon says %q, %v", line, err)
	}
	daemon.Process.Kill() //nolint:errcheck
	daemon.Wait()         //nolint:errcheck // it was killed
	promptly(t, "the plugin's end", func() {
		eventually(t, "the plugin is gone", func() bool { return !running(pid) })
	})
}

func TestAPluginBehindAWrapperDiesWithItsDaemon(t *testing.T) {
	wrapper := t.TempDir() + "/wrapper"
	if err := os.WriteFile(wrapper, []byte("#!/bin/sh\n"+subject+"\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := host.Launch(t.Context(), host.Config{Path: wrapper})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, p) })
	children, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID()) + "/task/" + strconv.Itoa(p.PID()) + "/children")
	pid, convErr := strconv.Atoi(strings.TrimSpace(string(children)))
	if err != nil || convErr != nil {
		t.Skipf("this kernel doesn't list children: %q, %v", children, err)
	}
	syscall.Kill(p.PID(), syscall.SIGKILL) // the wrapper alone, as the kernel does when the daemon dies
	<-p.Done()
	eventually(t, "the plugin is gone", func() bool { return !running(pid) })
}

func TestAPluginThatIsStartedByHandIntroducesItself(t *testing.T) {
	for role, want := range map[string]string{
		"resolver": "Subject::echo\n      Gives back its text.\n      {\"type\":\"object\"",
		"notifier": "A subscriber whose `metadata` is \"subject-notifier\" is notified by it.",
	} {
		command := exec.Command(subject)
		command.Env = []string{"SUBJECT=" + role}
		out, err := command.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), "subject") || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v\n%s", role, err, out)
		}
	}
}
