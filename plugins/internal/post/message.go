package post

import (
	"slices"
	"strconv"
	"time"

	"github.com/postrider/postrider/plugins/internal/post/http1"
	"github.com/postrider/postrider/sdk"
)

// Message is one POST: where it goes, what it carries, and what names it to the receiver.
type Message struct {
	URL         string
	ID          string    // webhook-id: the same on every attempt
	Attempt     int       // webhook-attempt: from 1
	Time        time.Time // webhook-timestamp: of this attempt, sent in whole seconds
	Body        []byte
	ContentType string
	Header      []Field // further fields, such as a signature
}

// Field is one header field. Its name is in canonical form, as [net/http.CanonicalHeaderKey] gives it.
type Field struct{ Name, Value string }

// MessageOf makes the message that a delivery stands for: its payload in its envelope, dated now.
func MessageOf(d sdk.Delivery) (Message, error) {
	body, contentType, err := d.Body()
	if err != nil {
		return Message{}, err
	}
	return Message{
		URL:         d.URL,
		ID:          d.ID,
		Attempt:     d.Attempt,
		Time:        time.Now(),
		Body:        body,
		ContentType: contentType,
	}, nil
}

// header appends the header to fields. What m.Header has of the same name as one before it replaces that one. traceparent is that of W3C Trace Context;
// "": none.
func (m Message) header(fields []http1.Field, userAgent, traceparent string) []http1.Field {
	fields = append(fields,
		http1.Field{Name: "User-Agent", Value: userAgent},
		http1.Field{Name: "Content-Type", Value: m.ContentType},
		http1.Field{Name: "Webhook-Id", Value: m.ID},
		http1.Field{Name: "Webhook-Timestamp", Value: strconv.FormatInt(m.Time.Unix(), 10)},
		http1.Field{Name: "Webhook-Attempt", Value: strconv.Itoa(m.Attempt)},
	)
	if traceparent != "" {
		fields = append(fields, http1.Field{Name: "Traceparent", Value: traceparent})
	}
	for _, own := range m.Header {
		named := func(f http1.Field) bool { return f.Name == own.Name }
		if i := slices.IndexFunc(fields, named); i >= 0 {
			fields[i] = http1.Field(own)
		} else {
			fields = append(fields, http1.Field(own))
		}
	}
	return fields
}
