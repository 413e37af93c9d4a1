package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/coretest/allocations"
	"github.com/postrider/postrider/core/httpapi"
)

type nullQueue struct{}

func (nullQueue) Publish(context.Context, ...core.Outgoing) error { return nil }
func (nullQueue) Depths(context.Context) ([]core.Depth, error)    { return nil, nil }

// discard is an answer that nobody reads, and a body that is read again and again: what is measured is the API alone.
type discard struct{ header http.Header }

func (d discard) Header() http.Header             { return d.header }
func (d discard) SetReadDeadline(time.Time) error { return nil }
func (d discard) Write(p []byte) (int, error)     { return len(p), nil }
func (d discard) WriteHeader(status int) {
	if status != http.StatusAccepted {
		panic(status)
	}
}

type body struct{ strings.Reader }

func (*body) Close() error { return nil }

// BenchmarkPublish is one POST /v1/events of 1 KiB, without network and queue.
func BenchmarkPublish(b *testing.B) {
	measure(b, event)
}

// BenchmarkPublishBatch is one POST of 100 such events.
func BenchmarkPublishBatch(b *testing.B) {
	measure(b, "["+strings.Repeat(event+",", 99)+event+"]")
}

func measure(b *testing.B, text string) {
	publish, size := publishing(b, text)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		publish()
	}
}

func TestPublishingAllocatesNoMoreThanItsBudget(t *testing.T) {
	publish, _ := publishing(t, event)
	allocations.Guard(t, "httpapi: POST /v1/events", func(n int) {
		for range n {
			publish()
		}
	})
}

var event = `{"event":"stock.item.changed","arguments":{"note":"` + strings.Repeat("lorem ipsum ", 78) + `","id":12345}}`

// publishing returns what makes one request with that body, and its size.
func publishing(t testing.TB, text string) (publish func(), size int64) {
	handler := httpapi.New(httpapi.Config{
		Token: adminToken, Queue: nullQueue{}, Catalog: catalog{{Name: "stock.item.changed"}}, Plugins: plugins{},
	})
	r, err := http.NewRequest(http.MethodPost, "/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength = int64(len(text))
	w := discard{http.Header{}}
	content := &body{}
	return func() {
		content.Reset(text)
		r.Body = content
		handler.ServeHTTP(w, r)
	}, r.ContentLength
}
