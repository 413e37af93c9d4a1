package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/eventjson"
)

// Header values that are set on many answers; shared, so never to be appended to.
var (
	jsonType    = []string{"application/json"}
	problemType = []string{"application/problem+json"}
)

// bodyTimeout is a time for the whole body, because a pace or a time between two reads lets a client choose how long it holds a connection. Half a
// minute for 1 MiB is 35 KiB/s, which any publisher has. A stranger's body gets no time at all: nobody reads it.
func (a *api) bodyTimeout(stranger bool) time.Duration {
	if stranger {
		return 0
	}
	return a.BodyTimeout
}

// limitBody gives the body its time, whether an endpoint reads it or net/http does, which waits for the end of every body, also of one that nobody
// wanted and also before it closes a connection. With the end of the body it takes the limit away.
func limitBody(w http.ResponseWriter, r *http.Request, timeout time.Duration) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(timeout)) // fails without a connection, and then nothing drips
	}
}

// readBody reads the body, which must say that it is JSON, not be compressed, and fit the limit. The answer is the caller's to keep, and to check.
func (a *api) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if err := checkContentType(r.Header.Get("Content-Type")); err != nil {
		return nil, err
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		w.Header().Set("Accept-Encoding", "identity") // RFC 9110, section 12.5.3
		return nil, problemf(http.StatusUnsupportedMediaType, "a body of content encoding %q can't be read: send it without", encoding)
	}
	if r.ContentLength > a.BodyLimit {
		w.Header().Set("Connection", "close") // rather than read what is not wanted
		return nil, a.tooLarge()
	}
	body, err := a.readAll(w, r)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, a.tooLarge()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.Header().Set("Connection", "close")
		return nil, problemf(http.StatusRequestTimeout, "only %d bytes of the body came within %s: send it faster, or in several requests",
			len(body), a.BodyTimeout)
	}
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "the body ended early, after %d bytes: %s", len(body), err)
	}
	return body, nil
}

func (a *api) tooLarge() error {
	return problemf(http.StatusRequestEntityTooLarge,
		"the body is larger than %d bytes: send less, or raise limits.body in the daemon's configuration", a.BodyLimit)
}

// readAll reads what fits the limit. A length that is known has been compared with it already, and takes one allocation.
func (a *api) readAll(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength < 0 {
		return io.ReadAll(http.MaxBytesReader(w, r.Body, a.BodyLimit))
	}
	body := make([]byte, r.ContentLength)
	n, err := io.ReadFull(r.Body, body)
	return body[:n], err
}

func checkContentType(header string) error {
	if header == "" || header == jsonType[0] {
		return nil
	}
	kind, params, err := mime.ParseMediaType(header)
	isJSON := kind == jsonType[0] || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
	if charset := params["charset"]; err != nil || !isJSON || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return problemf(http.StatusUnsupportedMediaType, "a body of type %q can't be read: send JSON in UTF-8, as application/json", header)
	}
	return nil
}

// decode reads the body into v. A member that v doesn't know is refused: it may be a typing error that would change what is meant.
func (a *api) decode(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := a.readBody(w, r)
	if err != nil {
		return err
	}
	if err := eventjson.Check(body); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(v)
	if err == nil {
		return nil
	}
	if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return core.Invalidf(wrongType.Field, "%s is a JSON %s: it must be %s", orBody(wrongType.Field), wrongType.Value, inJSON(wrongType.Type.String()))
	}
	message := strings.TrimPrefix(err.Error(), "json: ")
	if name, ok := strings.CutPrefix(message, "unknown field "); ok {
		return core.Invalidf(strings.Trim(name, `"`), "the body has a member %s, which means nothing here", name)
	}
	return core.Invalidf("", "%s", message)
}

func orBody(field string) string {
	if field == "" {
		return "the body"
	}
	return field
}

// inJSON names a Go type in the words of JSON.
func inJSON(goType string) string {
	switch {
	case strings.HasPrefix(goType, "[]"):
		return "an array"
	case strings.HasSuffix(goType, "string"):
		return "a string"
	case strings.HasSuffix(goType, "bool"):
		return "true or false"
	case strings.Contains(goType, "int"):
		return "an integer"
	}
	return "an object"
}

// answer writes v as JSON.
func answer(w http.ResponseWriter, status int, v any) error {
	writeJSON(w, status, jsonType, v)
	return nil
}

func writeJSON(w http.ResponseWriter, status int, contentType []string, v any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // reasons and excerpts are read by people, and this is no HTML
	if err := encoder.Encode(v); err != nil {
		// Only raw JSON from the store that is none can bring us here, and checked records hold no such thing.
		status, contentType = http.StatusInternalServerError, problemType
		body.Reset()
		body.WriteString(`{"title":"Internal Server Error","status":500,"detail":"the answer could not be written as JSON"}`)
	}
	header := w.Header()
	header["Content-Type"] = contentType
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // fails when the client has gone, and then there is nobody to tell
}
