package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/mux"
	"github.com/hashicorp/go-hclog"

	"github.com/postrider/postrider/core"
)

// Queue is where published events go; core.Queue has more.
type Queue interface {
	Publish(ctx context.Context, out ...core.Outgoing) error // durable when it returns nil
	Depths(ctx context.Context) ([]core.Depth, error)
}

// Subscribers is the store of subscribers. What it hands out is not to be modified.
type Subscribers interface {
	CreateSubscriber(ctx context.Context, s core.Subscriber) (core.Subscriber, error) // sets ID, Created and Modified
	UpdateSubscriber(ctx context.Context, id core.SubscriberID, change func(*core.Subscriber) error) (core.Subscriber, error)
	DeleteSubscriber(ctx context.Context, id core.SubscriberID) error
	Subscriber(id core.SubscriberID) (core.Subscriber, bool)
	Subscribers() []core.Subscriber // by id
}

// Log is what is known of events and deliveries. A page may be shorter than the limit, or empty, and yet have a next one.
type Log interface {
	Event(ctx context.Context, id core.EventID) (core.EventRecord, error)
	Attempt(ctx context.Context, e core.EventID, s core.SubscriberID, number int) (core.Attempt, error) // s 0: to resolve the event
	Delivery(ctx context.Context, id core.DeliveryID) (core.Delivery, error)                            // with all attempts
	Deliveries(ctx context.Context, f core.DeliveryFilter) (page []core.Delivery, next string, err error)
}

// DeadLetters is what will not be tried again by itself.
type DeadLetters interface {
	DeadLetter(ctx context.Context, id string) (core.DeadLetter, error) // with all attempts
	DeadLetters(ctx context.Context, f core.DeadLetterFilter) (page []core.DeadLetter, next string, err error)
	RemoveDeadLetter(ctx context.Context, id string) error
}

// Replayer puts deliveries and dead letters back to work. Replaying twice is fine: the second time changes nothing.
type Replayer interface {
	ReplayDeadLetter(ctx context.Context, id string) error
	ReplayDelivery(ctx context.Context, id core.DeliveryID) error
}

// Catalog holds the webhooks that are defined.
type Catalog interface {
	Webhooks() []core.Webhook
	Webhook(name string) (core.Webhook, bool)
}

// Plugins knows what the plugins offer and accept. The checks return nil or a *core.Invalid.
type Plugins interface {
	Services() []core.OfferedService
	Plugins() []core.PluginStatus
	Reload(ctx context.Context) ([]core.PluginChange, error)        // takes over what has changed in the plugin directory
	CheckArguments(s core.Service, arguments json.RawMessage) error // nil where nobody offers the service now
	CheckSubscriber(s core.Subscriber) error                        // its notifier, url and settings
	ShownSettings(s core.Subscriber) json.RawMessage                // its settings without their secrets
}

// Backups copies the database while work goes on.
type Backups interface {
	Snapshot(ctx context.Context) (content io.ReadCloser, size int64, err error) // from its beginning; whoever asks closes it
}

// Config is what the API stands on. All of it is required, except what says otherwise.
type Config struct {
	Token        string        // the admin's bearer token; "" lets nobody in
	BodyLimit    int64         // bytes of a request's body; 0: DefaultBodyLimit
	BodyTimeout  time.Duration // from the end of a request's header to the end of its body; 0: DefaultBodyTimeout
	BacklogLimit int           // messages that may be ready in the queue before no more is taken; 0: no limit
	Queue        Queue
	Subscribers  Subscribers
	Log          Log
	DeadLetters  DeadLetters
	Replayer     Replayer
	Catalog      Catalog
	Plugins      Plugins
	Backups      Backups
	Paused       func(core.SubscriberID) (until time.Time, paused bool) // which receivers fail; nil: none does
	Unready      func() []string                                        // why the daemon can't do its work now, for people; empty: it can. nil: it always can
	Logger       hclog.Logger                                           // nil: no log
}

// DefaultBodyTimeout is how long a body may take where the configuration doesn't say.
const DefaultBodyTimeout = 30 * time.Second

// DefaultBodyLimit is how long a request's body may be where the configuration doesn't say, in bytes.
const DefaultBodyLimit = 1 << 20

type api struct {
	Config
	admin   credential
	backlog *backlog
	router  *mux.Router
	events  http.Handler // of eventsPath
}

// eventsPath is the hot route: each event comes over it.
const eventsPath = "/v1/events"

// New returns the API. It keeps no state of its own and starts nothing.
func New(c Config) http.Handler {
	if c.BodyLimit <= 0 {
		c.BodyLimit = DefaultBodyLimit
	}
	if c.BodyTimeout <= 0 {
		c.BodyTimeout = DefaultBodyTimeout
	}
	if c.Paused == nil {
		c.Paused = func(core.SubscriberID) (time.Time, bool) { return time.Time{}, false }
	}
	if c.Unready == nil {
		c.Unready = func() []string { return nil }
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	a := &api{Config: c, admin: newCredential(c.Token), backlog: newBacklog(c.Queue, c.BacklogLimit)}
	// Ids may hold any printable character, also a "/": it comes escaped, and only the escaped path keeps it apart.
	a.router = mux.NewRouter().UseEncodedPath().SkipClean(true)
	a.router.NotFoundHandler = http.HandlerFunc(a.notFound)

	a.events = a.route(eventsPath, methods{http.MethodPost: a.publish}).GetHandler()
	a.route("/v1/events/{id}", methods{http.MethodGet: a.event})

	a.route("/v1/subscribers", methods{http.MethodGet: a.listSubscribers, http.MethodPost: a.createSubscriber})
	a.route("/v1/subscribers/{id}", methods{
		http.MethodGet: a.subscriber, http.MethodPut: a.changeSubscriber, http.MethodPatch: a.changeSubscriber,
		http.MethodDelete: a.deleteSubscriber,
	})
	a.route("/v1/subscribers/{id}/rotate-secret", methods{http.MethodPost: a.rotateSecret})
	a.route("/v1/deliveries", methods{http.MethodGet: a.listDeliveries})
	a.route("/v1/deliveries/{id}", methods{http.MethodGet: a.delivery})
	a.route("/v1/deliveries/{id}/replay", methods{http.MethodPost: a.replayDelivery})
	a.route("/v1/dead-letters", methods{http.MethodGet: a.listDeadLetters})
	a.route("/v1/dead-letters/replay", methods{http.MethodPost: a.replayDeadLetters})
	a.route("/v1/dead-letters/{id}", methods{http.MethodGet: a.deadLetter, http.MethodDelete: a.removeDeadLetter})
	a.route("/v1/dead-letters/{id}/replay", methods{http.MethodPost: a.replayDeadLetter})

	a.route("/v1/webhooks", methods{http.MethodGet: a.listWebhooks})
	a.route("/v1/services", methods{http.MethodGet: a.listServices})
	a.route("/v1/plugins", methods{http.MethodGet: a.listPlugins})
	a.route("/v1/plugins/reload", methods{http.MethodPost: a.reloadPlugins})
	a.route("/v1/queues", methods{http.MethodGet: a.listQueues})
	a.route("/v1/backup", methods{http.MethodGet: a.backup})
	a.route(healthPath, methods{http.MethodGet: a.health})
	a.route(readyPath, methods{http.MethodGet: a.ready})

	a.route("/rest/{version:[vV]1}/webhook", methods{http.MethodPost: a.createReference})
	a.route("/rest/{version:[vV]1}/webhook/{id}", methods{http.MethodGet: a.reference, http.MethodPut: a.changeReference})
	a.route("/rest/{version:[vV]1}/webhooks", methods{http.MethodGet: a.listReferences})
	return a
}

// ServeHTTP lets in who may come in, before anything else is told or read.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	stranger := !a.admin.shownBy(r)
	if stranger {
		w.Header().Set("Connection", "close")
	}
	limitBody(w, r, a.bodyTimeout(stranger))
	if stranger && r.URL.Path != healthPath && r.URL.Path != readyPath {
		refuseStranger(w, r)
		return
	}
	if r.URL.EscapedPath() == eventsPath {
		a.events.ServeHTTP(w, r) // the router would match its regular expression twice, and copy the request twice: 1.1 µs and 7 allocations
		return
	}
	a.router.ServeHTTP(w, r)
}

// endpoint answers one method of one route. The error that it returns becomes the answer; then it must not have written any.
type endpoint func(w http.ResponseWriter, r *http.Request) error

type methods map[string]endpoint

// route dispatches path by method itself, because mux does not say in a 405 what would be allowed.
func (a *api) route(path string, m methods) *mux.Route {
	allowed := make([]string, 0, len(m)+1)
	for method := range m {
		allowed = append(allowed, method)
	}
	if get, ok := m[http.MethodGet]; ok {
		m[http.MethodHead] = get // net/http leaves the body out
		allowed = append(allowed, http.MethodHead)
	}
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")
	return a.router.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		answer, ok := m[r.Method]
		if !ok {
			w.Header().Set("Allow", allow)
			a.fail(w, r, problemf(http.StatusMethodNotAllowed, "%s is not possible on %s: use %s", r.Method, r.URL.Path, allow))
			return
		}
		if err := answer(w, r); err != nil {
			a.fail(w, r, err)
		}
	})
}

func (a *api) notFound(w http.ResponseWriter, r *http.Request) {
	a.fail(w, r, problemf(http.StatusNotFound, "there is no route %s: the API's own routes begin with /v1/, the reference's with /rest/V1/",
		r.URL.Path))
}
