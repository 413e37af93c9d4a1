package rabbitmq

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// heartbeat is what both ends send when there is nothing else; a connection that is silent for three of them is dead.
	heartbeat = 5 * time.Second

	// dialPatience bounds each step of connecting: to reach the host, to agree on TLS, to log in.
	dialPatience = 10 * time.Second

	// writePatience is how long a write may hang before the connection is given up. A broker with a memory alarm stops reading for as long as the alarm
	// lasts; nothing is lost if we dial again meanwhile.
	writePatience = 20 * time.Second

	// closePatience bounds an orderly goodbye.
	closePatience = 2 * time.Second
)

// link is one life of the connection to the broker. It is never repaired: whatever of it fails ends all of it, and another is dialled. So what came
// from one link can only be acknowledged on the same, and never acknowledges something else.
//
// Publishing and consuming have a connection each, because a broker that is short of memory stops reading from those that publish.
type link struct {
	publisher *publisher
	consuming *amqp.Connection

	controlMu sync.Mutex
	control   *amqp.Channel // for questions

	connections []*amqp.Connection
	socketsMu   sync.Mutex
	sockets     []net.Conn
	watching    sync.WaitGroup

	ending sync.Once
	done   chan struct{} // closed when it has ended
	why    error         // read after done

	blockedMu sync.Mutex
	blocked   string        // why the broker takes no publishes; "": it does
	changed   chan struct{} // closed when blocked changes
}

// dial connects to the broker of c, and leaves the topology alone.
func dial(ctx context.Context, c Config) (_ *link, err error) {
	uri, err := parseURL(c.URL)
	if err != nil {
		return nil, err
	}
	l := &link{done: make(chan struct{}), changed: make(chan struct{})}
	defer func() {
		if err != nil {
			l.end(err)
			l.join()
			err = fmt.Errorf("connect to %s: %w", address(uri), err)
		}
	}()
	publishing, err := l.connect(ctx, c, uri, "publishes")
	if err != nil {
		return nil, err
	}
	if l.consuming, err = l.connect(ctx, c, uri, "consumes"); err != nil {
		return nil, err
	}
	l.watchBlocked(publishing)
	if l.control, err = l.consuming.Channel(); err != nil {
		return nil, err
	}
	l.publisher, err = newPublisher(l, publishing)
	return l, err
}

// connect opens one connection and has its end be the link's.
func (l *link) connect(ctx context.Context, c Config, uri amqp.URI, purpose string) (*amqp.Connection, error) {
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName("postrider " + purpose)
	secure := c.TLS
	if uri.Scheme == "amqps" {
		if secure == nil {
			secure = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		if secure = secure.Clone(); secure.ServerName == "" {
			secure.ServerName = uri.Host
		}
	}
	var s *socket
	connection, err := amqp.DialConfig(c.URL, amqp.Config{
		Heartbeat: heartbeat, Properties: properties, TLSClientConfig: secure,
		Dial: func(network, addr string) (net.Conn, error) {
			dialer := net.Dialer{Timeout: dialPatience}
			raw, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			s = &socket{Conn: raw}
			l.own(s)
			return s, s.SetDeadline(time.Now().Add(dialPatience)) // the library takes it away after the handshake
		},
	})
	if err != nil && s != nil && s.reset.Load() && uri.Scheme == "amqps" && len(secure.Certificates) == 0 {
		// Such a broker says why, in an alert of TLS. That is lost when the end of the connection overtakes it.
		err = fmt.Errorf("%w; brokers that want a certificate end connections without one like this: set queue.tls.cert_file and queue.tls.key_file", err)
	}
	if err != nil {
		return nil, err
	}
	l.connections = append(l.connections, connection)
	closed := connection.NotifyClose(make(chan *amqp.Error, 1))
	l.watching.Go(func() {
		var why error = errors.New("the connection was closed")
		if err := <-closed; err != nil {
			why = err
		}
		l.end(why)
	})
	return connection, nil
}

// own has s be closed with the link.
func (l *link) own(s *socket) {
	l.socketsMu.Lock()
	defer l.socketsMu.Unlock()
	l.sockets = append(l.sockets, s)
	if l.hasEnded() {
		s.Close() //nolint:errcheck // nobody uses it yet
	}
}

// socket is a connection on which no write hangs for ever. It notes whether the other end broke it off, which the library makes a word in its errors.
type socket struct {
	net.Conn
	reset atomic.Bool
}

func (s *socket) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.note(err)
	return n, err
}

func (s *socket) Write(b []byte) (int, error) {
	if err := s.SetWriteDeadline(time.Now().Add(writePatience)); err != nil {
		return 0, err
	}
	n, err := s.Conn.Write(b)
	s.note(err)
	return n, err
}

func (s *socket) note(err error) {
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		s.reset.Store(true)
	}
}

func (l *link) watchBlocked(publishing *amqp.Connection) {
	blockings := publishing.NotifyBlocked(make(chan amqp.Blocking, 16))
	l.watching.Go(func() {
		for b := range blockings {
			l.blockedMu.Lock()
			l.blocked = ""
			if b.Active {
				l.blocked = "the broker takes no messages: " + b.Reason
			}
			close(l.changed)
			l.changed = make(chan struct{})
			l.blockedMu.Unlock()
		}
	})
}

// blocking says why the broker takes no publishes, "" if it does; changed is closed when that changes.
func (l *link) blocking() (reason string, changed <-chan struct{}) {
	l.blockedMu.Lock()
	defer l.blockedMu.Unlock()
	return l.blocked, l.changed
}

// end ends the link at once, without a goodbye that a dead connection would never answer.
func (l *link) end(why error) {
	l.ending.Do(func() {
		l.why = why
		close(l.done)
		l.socketsMu.Lock()
		defer l.socketsMu.Unlock()
		for _, s := range l.sockets {
			s.Close() //nolint:errcheck // it may be closed already
		}
	})
}

// close ends the link in good order: what was written before reaches the broker.
func (l *link) close() {
	deadline := time.Now().Add(closePatience)
	for _, c := range l.connections {
		c.CloseDeadline(deadline) //nolint:errcheck // then end does it
	}
	l.end(errClosing)
	l.join()
}

// join returns when nothing of an ended link runs any more.
func (l *link) join() {
	l.watching.Wait()
	l.publisher.wait()
}

var errClosing = errors.New("the queue is closing")

// hasEnded reports whether nothing can be done on the link any more.
func (l *link) hasEnded() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// ask runs a question on the control channel, which it opens anew if an earlier question ended it.
func (l *link) ask(question func(*amqp.Channel) error) error {
	l.controlMu.Lock()
	defer l.controlMu.Unlock()
	if l.control.IsClosed() {
		channel, err := l.consuming.Channel()
		if err != nil {
			return err
		}
		l.control = channel
	}
	return question(l.control)
}
