package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// The JSON shapes of the API. What a request takes and what an answer gives are these types, so that a Go client decodes into what the
// server encoded. Times are RFC 3339 in UTC with milliseconds at most; a member that is left out is not there, unless its comment says so.

// Page is what every list answers. Routes that list everything at once never have a Next.
type Page[T any] struct {
	Items []T    `json:"items"`          // never null
	Next  string `json:"next,omitempty"` // pass it as ?cursor= to get the next page; "": this is the last one
}

// Event is one event to publish: POST /v1/events takes one, or an array of them.
type Event struct {
	ID        string          `json:"id,omitempty"`        // chosen by the publisher, so that it can repeat the publish; "": made by Postrider
	Event     string          `json:"event"`               // the webhook's name
	Arguments json.RawMessage `json:"arguments,omitempty"` // a JSON object; left out: {}
}

// Published is the answer (202) to one published event. A batch answers an array, in the order of the request.
type Published struct {
	ID    string `json:"id"`
	Event string `json:"event"`
}

// EventStatus is what GET /v1/events/{id} knows of one event.
type EventStatus struct {
	ID         string          `json:"id"`
	Event      string          `json:"event"`
	State      string          `json:"state"` // accepted, dispatched, unwanted or dead
	Accepted   time.Time       `json:"accepted"`
	Arguments  json.RawMessage `json:"arguments,omitempty"`
	Payload    json.RawMessage `json:"payload,omitempty"`  // the frozen payload, where one is kept
	Attempts   []Attempt       `json:"attempts,omitempty"` // to resolve it, those that failed; by number, the first 1000
	Deliveries []Delivery      `json:"deliveries"`         // without their attempts; the newest 1000
}

// SubscriberFields is what a client may say about a subscriber: POST /v1/subscribers makes one of them, PUT and PATCH
// /v1/subscribers/{id} change what is given and leave the rest alone. A null takes settings or retry away. A "[secret]" in settings, as answers show
// one, leaves the secret that is there.
type SubscriberFields struct {
	Event    *string         `json:"event,omitempty"`
	URL      *string         `json:"url,omitempty"`
	Token    *string         `json:"token,omitempty"`    // secret: taken, never given back
	Notifier *string         `json:"notifier,omitempty"` // left out when creating: default
	Enabled  *bool           `json:"enabled,omitempty"`  // left out when creating: true
	Settings json.RawMessage `json:"settings,omitempty"` // by the notifier's own schema
	Retry    json.RawMessage `json:"retry,omitempty"`    // as `retry` in the configuration
	Envelope *string         `json:"envelope,omitempty"` // standard, cloudevents, raw, or "" for the daemon's
}

// RotateSecret is the body of POST /v1/subscribers/{id}/rotate-secret, which answers the subscriber. Until the overlap ends, deliveries are signed
// with the token before too, or, where a signature's scheme has room for one alone, with that one only.
type RotateSecret struct {
	Token   string `json:"token"`             // secret: taken, never given back
	Overlap string `json:"overlap,omitempty"` // "0s" to "720h"; left out: 24h
}

// EarlierToken is a token that was replaced and is still valid. Nothing shows what it is.
type EarlierToken struct {
	Expires time.Time `json:"expires"`
}

// Subscriber is a subscriber as the API shows it: without its tokens, and with "[secret]" for each secret of its settings.
type Subscriber struct {
	ID             int64           `json:"id"`
	Event          string          `json:"event"`
	URL            string          `json:"url"`
	Notifier       string          `json:"notifier"`
	Enabled        bool            `json:"enabled"`
	DisabledReason string          `json:"disabled_reason,omitempty"` // why the daemon disabled it
	DisabledSince  time.Time       `json:"disabled_since,omitzero"`   // what was accepted before waits for it
	PausedUntil    time.Time       `json:"paused_until,omitzero"`     // its receiver fails: no attempt before then, and then one at a time
	Settings       json.RawMessage `json:"settings,omitempty"`
	Retry          json.RawMessage `json:"retry,omitempty"`
	Envelope       string          `json:"envelope,omitempty"`
	EarlierTokens  []EarlierToken  `json:"earlier_tokens,omitempty"` // those that are still valid, newest first
	Created        time.Time       `json:"created"`
	Modified       time.Time       `json:"modified"`
}

// Service names a service by class and method.
type Service struct {
	Class  string `json:"class"`
	Method string `json:"method"`
}

// The states of a webhook.
const (
	WebhookOK        = "ok"        // it needs no service, or a running resolver offers it
	WebhookDown      = "down"      // its service is offered by a resolver that is not running: events wait
	WebhookUnoffered = "unoffered" // no resolver offers its service: events wait
)

// Webhook is a definition, and whether its service is there.
type Webhook struct {
	Name    string   `json:"name"`
	Service *Service `json:"service"`          // null: the published arguments are the payload
	Payload string   `json:"payload"`          // frozen or fresh
	Source  string   `json:"source"`           // the file and line that define it
	State   string   `json:"state"`            // ok, down or unoffered
	Plugin  string   `json:"plugin,omitempty"` // the resolver that offers the service
}

// OfferedService is a service that a resolver offers.
type OfferedService struct {
	Service
	Description string          `json:"description,omitempty"`
	Arguments   json.RawMessage `json:"arguments,omitempty"` // JSON Schema of the named arguments
	Plugin      string          `json:"plugin"`
	Up          bool            `json:"up"`
}

// Plugin is the state of one plugin process.
type Plugin struct {
	Name     string `json:"name"`
	Notifier string `json:"notifier,omitempty"` // the notifier name whose configuration it runs with
	File     string `json:"file"`
	Version  string `json:"version,omitempty"`
	Role     string `json:"role,omitempty"` // resolver or notifier; left out where it never described itself
	State    string `json:"state"`          // as core.PluginStatus lists them
	Reason   string `json:"reason,omitempty"`
	Update   string `json:"update,omitempty"` // why the file is not what runs, but what was there before
	PID      int    `json:"pid,omitempty"`
	Restarts int    `json:"restarts"`
	InFlight int    `json:"in_flight"`

	Since    *time.Time `json:"since,omitempty"` // when the process began to serve; left out while none runs
	Requests int64      `json:"requests"`        // since the daemon started
	Errors   int64      `json:"errors"`          // of the plugin itself; what a receiver did is none
	Latency  *Latency   `json:"latency_ms,omitempty"`
	Memory   int64      `json:"memory,omitempty"` // bytes that the process keeps for itself; left out where it isn't known
}

// Latency is how long the requests of the last minute or two took, in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// PluginChange is what POST /v1/plugins/reload did about one file of the plugin directory.
type PluginChange struct {
	File   string `json:"file"`
	Name   string `json:"name,omitempty"`   // left out where it did not describe itself
	Change string `json:"change"`           // started, replaced, removed or refused
	Reason string `json:"reason,omitempty"` // why it was refused, or what is wrong with what was started
}

// Attempt is one try of a delivery, or one try to resolve an event.
type Attempt struct {
	Number     int        `json:"number"`
	Started    time.Time  `json:"started"`
	DurationMS float64    `json:"duration_ms"`
	Outcome    string     `json:"outcome"`               // delivered, retry or rejected
	StatusCode int        `json:"status_code,omitempty"` // left out: the receiver gave none
	Reason     string     `json:"reason,omitempty"`
	Excerpt    string     `json:"excerpt,omitempty"` // the beginning of the receiver's answer
	Due        *time.Time `json:"due,omitempty"`     // when the next attempt is due
}

// Delivery is one event on its way to one subscriber.
type Delivery struct {
	ID           string    `json:"id"` // the receiver sees it as webhook-id
	EventID      string    `json:"event_id"`
	Event        string    `json:"event"`
	SubscriberID int64     `json:"subscriber_id"`
	State        string    `json:"state"`              // pending, scheduled, delivered or dead
	Last         *Attempt  `json:"last,omitempty"`     // the newest attempt
	Attempts     []Attempt `json:"attempts,omitempty"` // by number; left out of lists
}

// DeadLetter is a delivery, or an event, that will not be tried again by itself. ID is what its routes take: the delivery's id, or the
// event's.
type DeadLetter struct {
	ID           string    `json:"id"`
	Kind         string    `json:"kind"`                  // delivery or event
	DeliveryID   string    `json:"delivery_id,omitempty"` // of kind delivery alone
	EventID      string    `json:"event_id"`
	Event        string    `json:"event"`
	SubscriberID int64     `json:"subscriber_id,omitempty"` // of kind delivery alone
	Reason       string    `json:"reason"`
	Died         time.Time `json:"died_at"`
	Last         int       `json:"last_attempt"`       // its number; 0: it was never tried
	Original     []byte    `json:"original,omitempty"` // what came and could not be read, in base64
	Attempts     []Attempt `json:"attempts,omitempty"` // by number; left out of lists
}

// ReplayDeadLetters is the body of POST /v1/dead-letters/replay. Give the ids, or what selects them, or all: an empty body replays nothing,
// it is refused. One request replays at most Limit of what is selected; repeat it with the Next of its answer.
type ReplayDeadLetters struct {
	IDs          []string `json:"ids,omitempty"` // at most 1000
	Kind         string   `json:"kind,omitempty"`
	Event        string   `json:"event,omitempty"`
	SubscriberID int64    `json:"subscriber_id,omitempty"`
	All          bool     `json:"all,omitempty"`
	Limit        int      `json:"limit,omitempty"` // 1 to 1000; left out: 1000
	Cursor       string   `json:"cursor,omitempty"`
}

// Replayed answers (202) every replay.
type Replayed struct {
	Replayed []string       `json:"replayed"` // ids, never null
	Failed   []FailedReplay `json:"failed,omitempty"`
	Next     string         `json:"next,omitempty"` // where the selection goes on; "": this was all
}

// FailedReplay is one id that was not put back to work, and why.
type FailedReplay struct {
	ID      string `json:"id"`
	Message string `json:"message"`
}

// Depth says how much waits in one queue.
type Depth struct {
	Queue string `json:"queue"`
	Ready int    `json:"ready"`
	Due   int    `json:"due"`
}

// Health answers GET /healthz.
type Health struct {
	Status string `json:"status"` // alive
}

// Ready answers GET /readyz: 200 when the daemon takes and delivers events, else 503 with the reasons.
type Ready struct {
	Status  string   `json:"status"` // ready or not ready
	Reasons []string `json:"reasons,omitempty"`
}

// ReferenceRequest is the body of POST /rest/V1/webhook and PUT /rest/V1/webhook/{id}.
type ReferenceRequest struct {
	Webhook *ReferenceFields `json:"webhook"`
}

// ReferenceFields is a subscriber in the words of the reference system. PUT changes what is given and leaves the rest alone.
type ReferenceFields struct {
	EventName         *string `json:"event_name,omitempty"`
	RecipientURL      *string `json:"recipient_url,omitempty"`
	VerificationToken *string `json:"verification_token,omitempty"` // secret: taken, never given back
	Metadata          *string `json:"metadata,omitempty"`           // the notifier's name; left out when creating: default
	Status            *Flag   `json:"status,omitempty"`             // left out when creating: true

	// Clients send back what they were shown. These two say nothing.
	SubscriptionID json.RawMessage `json:"subscription_id,omitempty"`
	SubscribedAt   json.RawMessage `json:"subscribed_at,omitempty"`
}

// ReferenceSubscriber answers the reference routes.
type ReferenceSubscriber struct {
	SubscriptionID int64  `json:"subscription_id"`
	EventName      string `json:"event_name"`
	RecipientURL   string `json:"recipient_url"`
	Status         bool   `json:"status"`
	SubscribedAt   string `json:"subscribed_at"` // as Magento writes times, in UTC: 2006-01-02 15:04:05
}

// ReferenceList answers GET /rest/V1/webhooks.
type ReferenceList struct {
	Items          []ReferenceSubscriber `json:"items"` // never null
	SearchCriteria SearchCriteria        `json:"search_criteria"`
	TotalCount     int                   `json:"total_count"` // of what the filters let through, on all pages
}

// SearchCriteria says which subscribers a list holds: groups are joined by and, the filters of a group by or.
type SearchCriteria struct {
	FilterGroups []FilterGroup `json:"filter_groups"` // never null
	SortOrders   []SortOrder   `json:"sort_orders,omitempty"`
	PageSize     int           `json:"page_size,omitempty"` // 0: everything on one page
	CurrentPage  int           `json:"current_page,omitempty"`
}

// FilterGroup lets through what any of its filters does.
type FilterGroup struct {
	Filters []Filter `json:"filters"`
}

// Filter compares one field.
type Filter struct {
	Field         string `json:"field"`
	Value         string `json:"value"`
	ConditionType string `json:"condition_type"`
}

// SortOrder sorts by one field.
type SortOrder struct {
	Field     string `json:"field"`
	Direction string `json:"direction"` // ASC or DESC
}

// Flag is a boolean that clients of the reference system also write as 0 and 1, or as strings of either.
type Flag bool

// UnmarshalJSON reads true, false, 1, 0 and the strings of them.
func (f *Flag) UnmarshalJSON(raw []byte) error {
	switch strings.Trim(string(raw), `"`) {
	case "true", "1":
		*f = true
	case "false", "0":
		*f = false
	default:
		return fmt.Errorf("the status is %s: it must be true or false", raw)
	}
	return nil
}

// Problem is the body of every error, application/problem+json (RFC 9457). Detail says what is wrong, where, and what to do.
type Problem struct {
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Detail string       `json:"detail"`
	Errors []FieldError `json:"errors,omitempty"` // which parts of the input are wrong
}

// FieldError is what is wrong with one part of the input. In a batch, the field starts with the event's index, as in "[2].event".
type FieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Error returns the detail, or the title where there is none.
func (p *Problem) Error() string {
	if p.Detail != "" {
		return p.Detail
	}
	return fmt.Sprintf("%d %s", p.Status, http.StatusText(p.Status))
}
