package bench

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// PublisherCommand is the argument that makes the executable the process that publishes. It is told what to do on its standard input, also what is
// secret, and answers on its standard output: both ends are the same program, so that gob carries it.
const PublisherCommand = "bench-publisher"

// child is that process, seen from the one that receives.
type child struct {
	command *exec.Cmd
	jobs    *gob.Encoder
	news    *gob.Decoder
	said    bytes.Buffer // on its standard error
	stop    context.CancelFunc
	ended   func() error // waits for its end
}

// childPatience is how long it may take to end once its standard input has.
const childPatience = 10 * time.Second

func startChild(executable string) (*child, error) {
	ctx, stop := context.WithCancel(context.Background())
	c := &child{command: exec.CommandContext(ctx, executable, PublisherCommand), stop: stop}
	c.command.Stderr = &c.said
	in, noIn := c.command.StdinPipe()
	out, noOut := c.command.StdoutPipe()
	err := errors.Join(noIn, noOut)
	if err == nil {
		c.command.Cancel, c.command.WaitDelay = in.Close, childPatience // it ends by itself then, or else by force
		err = c.command.Start()
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("start the process that publishes: %w", err)
	}
	c.jobs, c.news, c.ended = gob.NewEncoder(in), gob.NewDecoder(out), sync.OnceValue(c.command.Wait)
	return c, nil
}

// do has one job done, and returns how it went; one at a time. told hears meanwhile how many events are accepted. Cancelling ctx ends the process: it
// is of no use any more.
func (c *child) do(ctx context.Context, j job, told func(accepted int)) (news, error) {
	defer context.AfterFunc(ctx, c.stop)()
	err := c.jobs.Encode(j)
	for err == nil {
		var n news
		if err = c.news.Decode(&n); err != nil {
			break
		}
		told(n.Accepted)
		if n.Error != "" {
			return n, errors.New(n.Error)
		}
		if n.Ended {
			return n, nil
		}
	}
	if ctx.Err() != nil {
		return news{}, context.Cause(ctx)
	}
	return news{}, fmt.Errorf("the process that publishes is gone: %w", err)
}

// close ends the process. The error says how it ended where it did so by itself.
func (c *child) close() error {
	c.stop()
	if exit := (*exec.ExitError)(nil); errors.As(c.ended(), &exit) {
		return fmt.Errorf("the process that publishes ended: %w\n%s", exit, c.said.Bytes())
	}
	return nil
}

// ServePublisher is all that this process does: the jobs that come in, one at a time. It returns when no more can come, and breaks off what is under way
// then: who wanted it done is gone. The whole process ignores Ctrl-C and SIGTERM from then on: Ctrl-C reaches all processes of a terminal, and the one
// that receives says when it is over.
func ServePublisher(in io.Reader, out io.Writer) error {
	signal.Ignore(os.Interrupt, syscall.SIGTERM)
	ctx, breakOff := context.WithCancel(context.Background())
	jobs, read := make(chan job), make(chan error, 1)
	go func() {
		defer breakOff()
		read <- readJobs(in, jobs)
	}()
	s := server{news: gob.NewEncoder(out), open: map[destination]publisher{}}
	for j := range jobs {
		s.serve(ctx, j)
	}
	return <-read
}

// readJobs closes jobs when no more can come.
func readJobs(in io.Reader, jobs chan<- job) error {
	defer close(jobs)
	for decoder := gob.NewDecoder(in); ; {
		var j job
		switch err := decoder.Decode(&j); {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("read what to publish: %w", err)
		}
		jobs <- j
	}
}

// server is that process, seen from inside.
type server struct {
	news *gob.Encoder
	open map[destination]publisher // they stay: their connections are open where they are needed again
}

func (s *server) serve(ctx context.Context, j job) {
	w := newWork(j)
	stop := every(reportEvery, func() { s.tell(news{Accepted: int(w.accepted.Load())}) })
	err := s.work(ctx, w)
	stop()
	if ctx.Err() != nil {
		return // nobody listens any more
	}
	last := news{Accepted: int(w.accepted.Load()), Ended: true, Began: w.began, Sending: w.sending, Sent: w.sent}
	if err != nil {
		last.Error = err.Error()
	}
	s.tell(last)
}

func (s *server) work(ctx context.Context, w *work) (err error) {
	by, ok := s.open[w.To]
	if !ok {
		if by, err = w.To.open(ctx); err != nil {
			return err
		}
		s.open[w.To] = by
	}
	return w.do(ctx, by)
}

// tell fails where nobody listens any more: there will be nothing more to do then.
func (s *server) tell(n news) { _ = s.news.Encode(n) }
