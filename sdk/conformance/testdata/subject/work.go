package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/postrider/postrider/proto/pluginv1"
)

type subject struct {
	pluginv1.UnimplementedPluginServer
	role       string
	fault      fault
	refused    atomic.Bool
	configured atomic.Bool
	allow      atomic.Value // []string
	turn       sync.Mutex   // of a serial subject
}

type resolver struct {
	pluginv1.UnimplementedResolverServer
	*subject
}

type notifier struct {
	pluginv1.UnimplementedNotifierServer
	*subject
}

// message is what both kinds of requests have.
type message interface {
	GetId() uint64
	GetRemainingMs() int64
	ProtoReflect() protoreflect.Message
}

// Resolve answers the requests of a stream.
func (r resolver) Resolve(stream grpc.BidiStreamingServer[pluginv1.ResolveRequests, pluginv1.ResolveAnswers]) error {
	x := newExchange(r.subject, stream.Context(), func(q *pluginv1.ResolveRequest, f *pluginv1.Failure) *pluginv1.ResolveAnswer {
		return &pluginv1.ResolveAnswer{Failure: f}
	}, func(id uint64, a *pluginv1.ResolveAnswer) error {
		a.Id = id
		return stream.Send(&pluginv1.ResolveAnswers{Answers: []*pluginv1.ResolveAnswer{a}})
	})
	for {
		m, err := stream.Recv()
		if err != nil {
			return end(err)
		}
		x.take(m.GetRequests(), m.GetCancelled(), r.answer)
	}
}

func (s *subject) answer(ctx context.Context, q *pluginv1.ResolveRequest) *pluginv1.ResolveAnswer {
	known := q.GetClass() == "Subject" && (q.GetMethod() == "get" || q.GetMethod() == "wait")
	if !known && s.fault != pretending {
		return &pluginv1.ResolveAnswer{Failure: s.failure(pluginv1.Failure_KIND_PERMANENT, "no such service")}
	}
	types := map[string]string{}
	if q.GetMethod() != "wait" {
		types["id"] = "number"
	}
	wrong := misfit(q.GetArguments(), types, "id")
	if s.fault == fragile && strings.Contains(wrong, "JSON") {
		os.Exit(3)
	}
	if wrong != "" && s.fault != careless && known {
		kind := pluginv1.Failure_KIND_INVALID_ARGUMENTS
		if s.fault == vague {
			kind = pluginv1.Failure_KIND_UNSPECIFIED
		}
		return &pluginv1.ResolveAnswer{Failure: s.failure(kind, wrong)}
	}
	if q.GetMethod() == "wait" {
		<-ctx.Done()
		return &pluginv1.ResolveAnswer{Failure: s.failure(pluginv1.Failure_KIND_CANCELLED, ctx.Err().Error())}
	}
	if s.fault == garbled {
		return &pluginv1.ResolveAnswer{Payload: []byte(`{`)}
	}
	if s.fault == speechless {
		return &pluginv1.ResolveAnswer{Failure: s.failure(0, "")}
	}
	return &pluginv1.ResolveAnswer{Payload: []byte(`{"id":1}`)}
}

// Notify answers the requests of a stream.
func (n notifier) Notify(stream grpc.BidiStreamingServer[pluginv1.NotifyRequests, pluginv1.NotifyAnswers]) error {
	x := newExchange(n.subject, stream.Context(), func(q *pluginv1.NotifyRequest, f *pluginv1.Failure) *pluginv1.NotifyAnswer {
		return &pluginv1.NotifyAnswer{Failure: f}
	}, func(id uint64, a *pluginv1.NotifyAnswer) error {
		a.Id = id
		return stream.Send(&pluginv1.NotifyAnswers{Answers: []*pluginv1.NotifyAnswer{a}})
	})
	for {
		m, err := stream.Recv()
		if err != nil {
			return end(err)
		}
		x.take(m.GetRequests(), m.GetCancelled(), n.deliver)
	}
}

func (s *subject) deliver(ctx context.Context, q *pluginv1.NotifyRequest) *pluginv1.NotifyAnswer {
	if len(q.GetSettings()) > 0 && s.fault != careless {
		if wrong := misfit(q.GetSettings(), map[string]string{"path": "string"}); wrong != "" {
			kind := pluginv1.Failure_KIND_PERMANENT
			if s.fault == vague {
				kind = pluginv1.Failure_KIND_UNSPECIFIED
			}
			return &pluginv1.NotifyAnswer{Failure: s.failure(kind, wrong)}
		}
	}
	if s.fault == fragile && !json.Valid(q.GetPayload()) {
		os.Exit(3)
	}
	o := &pluginv1.Outcome{Status: pluginv1.Outcome_STATUS_DELIVERED, Code: 200}
	if err := s.post(ctx, q); err != nil {
		o = &pluginv1.Outcome{Status: pluginv1.Outcome_STATUS_RETRY, Reason: strings.ToValidUTF8(err.Error(), "?")}
	}
	if s.fault == garbled {
		o.Status = 0
	}
	if s.fault == speechless {
		o.Status, o.Reason = pluginv1.Outcome_STATUS_RETRY, ""
	}
	return &pluginv1.NotifyAnswer{Outcome: o}
}

func (s *subject) post(ctx context.Context, q *pluginv1.NotifyRequest) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, q.GetUrl(), strings.NewReader(string(q.GetPayload())))
	if err != nil {
		return err
	}
	dialer := net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(address)
		if err == nil && a.Addr().Unmap().IsLoopback() && len(s.allow.Load().([]string)) == 0 && s.fault != roaming {
			err = errors.New("loopback addresses are not allowed")
		}
		return err
	}}
	client := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	a, err := client.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	_, err = io.Copy(io.Discard, a.Body)
	return err
}

func (s *subject) failure(kind pluginv1.Failure_Kind, message string) *pluginv1.Failure {
	return &pluginv1.Failure{Kind: kind, Message: message}
}

// misfit says what is wrong with an object whose members are to have the given JSON types, or "".
func misfit(document []byte, types map[string]string, required ...string) string {
	if len(document) == 0 && len(required) == 0 {
		return ""
	}
	var members map[string]any
	if err := json.Unmarshal(document, &members); err != nil || members == nil {
		return "it is no JSON object"
	}
	for _, name := range required {
		if _, ok := members[name]; !ok && types[name] != "" {
			return name + " is missing"
		}
	}
	for name, value := range members {
		number, isNumber := value.(float64)
		_, isString := value.(string)
		switch types[name] {
		case "string":
			if !isString {
				return name + " must be a string"
			}
		case "number":
			if !isNumber || number != math.Trunc(number) {
				return name + " must be an integer"
			}
		default:
			return name + " is unknown"
		}
	}
	return ""
}

func end(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// exchange answers the requests of one stream.
type exchange[Q message, A any] struct {
	*subject
	ctx     context.Context
	failed  func(Q, *pluginv1.Failure) A
	send    func(uint64, A) error
	mu      sync.Mutex // of what follows, and of sending
	running map[uint64]context.CancelFunc
	sulked  map[uint64]bool
}

func newExchange[Q message, A any](s *subject, ctx context.Context, failed func(Q, *pluginv1.Failure) A, send func(uint64, A) error) *exchange[Q, A] {
	return &exchange[Q, A]{subject: s, ctx: ctx, failed: failed, send: send, running: map[uint64]context.CancelFunc{}, sulked: map[uint64]bool{}}
}

func (x *exchange[Q, A]) take(requests []Q, cancelled []uint64, work func(context.Context, Q) A) {
	for i, q := range requests {
		if x.fault == forgetful && i > 0 {
			continue
		}
		ctx, cancel := context.WithCancel(x.ctx)
		if ms := q.GetRemainingMs(); ms > 0 && x.fault != timeless {
			ctx, cancel = context.WithTimeout(x.ctx, time.Duration(ms)*time.Millisecond)
		}
		x.mu.Lock()
		x.running[q.GetId()] = cancel
		x.mu.Unlock()
		go x.do(ctx, q, work)
	}
	for _, id := range cancelled {
		x.mu.Lock()
		cancel := x.running[id]
		x.sulked[id] = true
		x.mu.Unlock()
		switch {
		case cancel == nil && x.fault == nervous:
			panic(fmt.Sprintf("cancelled %d, which isn't there", id))
		case cancel != nil && x.fault != deaf:
			cancel()
		}
	}
}

func (x *exchange[Q, A]) do(ctx context.Context, q Q, work func(context.Context, Q) A) {
	if x.fault == serial {
		x.turn.Lock()
		defer x.turn.Unlock()
	}
	var a A
	switch {
	case !x.configured.Load() && x.fault != eager:
		a = x.failed(q, x.failure(0, "not configured"))
	case len(q.ProtoReflect().GetUnknown()) > 0 && x.fault == strict:
		a = x.failed(q, x.failure(0, "there is a field that it doesn't know"))
	default:
		if !x.configured.Load() {
			x.allow.Store([]string{"127.0.0.1"})
		}
		a = work(ctx, q)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.running[q.GetId()]()
	delete(x.running, q.GetId())
	id := q.GetId()
	if x.fault == rounding {
		id = uint64(float64(id))
	}
	if x.fault == sulking && x.sulked[id] {
		return
	}
	x.send(id, a) //nolint:errcheck // the reader learns it
	if x.fault == stuttering {
		x.send(id, a) //nolint:errcheck
	}
}
