package post

import (
	"strconv"
	"time"

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

// header returns the header as net/http wants it: canonical names. The values share one array, since this runs for every attempt. traceparent is
// that of W3C Trace Context; "": none.
func (m Message) header(userAgent, traceparent string) map[string][]string {
	values := make([]string, 5, 6+len(m.Header))
	values[0] = userAgent
	values[1] = m.ContentType
	values[2] = m.ID
	values[3] = strconv.FormatInt(m.Time.Unix(), 10)
	values[4] = strconv.Itoa(m.Attempt)
	header := make(map[string][]string, 6+len(m.Header))
	header["User-Agent"] = values[0:1:1]
	header["Content-Type"] = values[1:2:2]
	header["Webhook-Id"] = values[2:3:3]
	header["Webhook-Timestamp"] = values[3:4:4]
	header["Webhook-Attempt"] = values[4:5:5]
	if traceparent != "" {
		values = append(values, traceparent)
		header["Traceparent"] = values[5:6:6]
	}
	for _, field := range m.Header {
		n := len(values)
		values = append(values, field.Value)
		header[field.Name] = values[n : n+1 : n+1]
	}
	return header
}
