package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// slack is a stand-in for hooks.slack.com: it answers as Slack's documentation says that incoming webhooks do, with its statuses, its one-word bodies,
// and its limit of one message at a time.
type slack struct {
	*httptest.Server
	every time.Duration // the least time between two messages of one webhook

	mu    sync.Mutex
	hooks map[string]*hook
}

// hook is one incoming webhook, by its path.
type hook struct {
	status   int    // 0: it works
	answer   string // with the status
	header   http.Header
	last     time.Time
	messages []sent
}

// sent is a message that was posted to a channel.
type sent struct {
	Text        string           `json:"text"`
	Blocks      []map[string]any `json:"blocks"`
	UnfurlLinks *bool            `json:"unfurl_links"`
	at          time.Time
}

func newSlack(t *testing.T, every time.Duration) *slack {
	t.Helper()
	s := &slack{every: every, hooks: make(map[string]*hook)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// secret is the part of a webhook's URL that nobody else may see.
const secret = "XXXXsecretXXXXsecretXXXX"

// hook makes a webhook and returns its URL.
func (s *slack) hook(name string, h hook) string {
	path := "/services/T00000000/B" + name + "/" + secret + name
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks[path] = &h
	return s.URL + path
}

// posted returns the messages of a webhook.
func (s *slack) posted(url string) []sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]sent(nil), s.hooks[strings.TrimPrefix(url, s.URL)].messages...)
}

func (s *slack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hooks[r.URL.Path]
	status, answer := s.take(h, r, body)
	if h != nil {
		for name, values := range h.header {
			w.Header()[name] = values
		}
	}
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(status)
	fmt.Fprint(w, answer)
}

func (s *slack) take(h *hook, r *http.Request, body []byte) (int, string) {
	var m sent
	contentType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch {
	case h == nil:
		return 404, "no_service"
	case h.status != 0:
		return h.status, h.answer
	case r.Method != http.MethodPost:
		return 405, "method_not_allowed"
	case contentType != "application/json" || json.Unmarshal(body, &m) != nil:
		return 400, "invalid_payload"
	case m.Text == "" && len(m.Blocks) == 0:
		return 400, "no_text"
	case !validBlocks(m.Blocks):
		return 400, "invalid_blocks"
	}
	m.at = time.Now()
	if m.at.Sub(h.last) < s.every*9/10 { // it allows for a little unrest on the way
		return 429, "rate_limited"
	}
	h.last = m.at
	h.messages = append(h.messages, m)
	return 200, "ok"
}

// validBlocks checks what Slack does of the blocks that the tests post.
func validBlocks(blocks []map[string]any) bool {
	if len(blocks) > 50 {
		return false
	}
	text := func(v any, limit int, required bool) bool {
		if v == nil {
			return !required
		}
		object, ok := v.(map[string]any)
		if !ok {
			return false
		}
		s, ok := object["text"].(string)
		return ok && s != "" && len([]rune(s)) <= limit
	}
	for _, b := range blocks {
		switch b["type"] {
		case "section":
			fields, _ := b["fields"].([]any)
			if b["text"] == nil && fields == nil || !text(b["text"], 3000, false) || len(fields) > 10 {
				return false
			}
			for _, f := range fields {
				if !text(f, 2000, true) {
					return false
				}
			}
		case "header":
			if !text(b["text"], 150, true) {
				return false
			}
		case "context", "actions":
			elements, _ := b["elements"].([]any)
			if len(elements) == 0 || len(elements) > 25 {
				return false
			}
		case "divider":
		default:
			return false
		}
	}
	return true
}
