package post

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/postrider/postrider/sdk"
)

const (
	bodyLimit    = 64 << 10 // bytes read of an answer; a longer one costs its connection
	excerptLimit = 1 << 10  // bytes kept of it
)

// asked are the fields of an answer's header that are looked at here.
var asked = []string{"Retry-After", "Location"}

// answer reads the receiver's answer, closes it, and returns what it means.
func answer(response *http.Response, host string, limit time.Duration, rule *Rule) sdk.Outcome {
	defer response.Body.Close()
	outcome := sdk.Outcome{Code: response.StatusCode, Status: rule.verdict(response.StatusCode)}

	if outcome.Status == sdk.StatusDelivered && rule.errors {
		outcome.Status, outcome.Reason, outcome.Excerpt = inspect(response, host, limit)
		return outcome
	}
	outcome.Excerpt = excerptOf(response)
	if outcome.Status == sdk.StatusDelivered {
		return outcome
	}
	outcome.Reason = reasonOf(response, host, outcome.Status)
	outcome.Gone = response.StatusCode == http.StatusGone
	if outcome.Status == sdk.StatusRetry {
		outcome.RetryAfter = retryAfter(response.Header.Get("Retry-After"), time.Now())
	}
	return outcome
}

// reasonOf says why an answer is no delivery.
func reasonOf(response *http.Response, host string, status sdk.Status) string {
	code := response.StatusCode
	said := fmt.Sprintf("%s answered %s", host, statusLine(code))
	switch {
	case code == http.StatusGone:
		return said + ": it wants no more deliveries"
	case code >= 300 && code < 400 && response.Header.Get("Location") != "":
		return fmt.Sprintf("%s and points to %s, but redirects are not followed: if that is where deliveries belong, make it the recipient_url",
			said, withoutQuery(response.Header.Get("Location")))
	case status == sdk.StatusRejected:
		return said + ", which the success rule does not count as worth another try"
	}
	return said
}

// statusLine returns the status with its standard text. The receiver's own text is not shown: anything could be in it.
func statusLine(code int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", code, http.StatusText(code)))
}

// longestURL is how long a URL may be, in bytes, of which a message shows the path: cut off, it might show a part of a secret that is not known for one.
const longestURL = 200

// withoutQuery shortens a URL to what is safe and useful in a message.
func withoutQuery(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "an address that is none"
	}
	u.RawQuery, u.Fragment, u.User = "", "", nil
	text := u.String()
	if len(text) > longestURL {
		text = u.Scheme + "://" + u.Host[:min(len(u.Host), longestURL)]
	}
	return clean([]byte(text))
}

// inspect reads the whole answer, for which there is time until the limit of the attempt, and looks for a member `errors` in it.
func inspect(response *http.Response, host string, limit time.Duration) (status sdk.Status, reason, excerpt string) {
	body, err := io.ReadAll(io.LimitReader(response.Body, bodyLimit+1))
	excerpt = clean(body[:min(len(body), excerptLimit)])
	said := fmt.Sprintf("%s answered %s", host, statusLine(response.StatusCode))
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return sdk.StatusRetry, fmt.Sprintf("%s, but its body, in which the success rule looks for a member `errors`, was not complete within %v",
			said, limit.Round(time.Millisecond)), excerpt
	case err != nil:
		return sdk.StatusRetry, said + ", but its body broke off before its member `errors` could be looked for", excerpt
	case len(body) > bodyLimit:
		return sdk.StatusRetry, fmt.Sprintf("%s with more than %d KiB, too much to look for a member `errors` in it, as the success rule asks",
			said, bodyLimit>>10), excerpt
	case hasErrors(body):
		return sdk.StatusRetry, said + " with a member `errors` in its body, which the success rule counts as a failure", excerpt
	}
	return sdk.StatusDelivered, "", excerpt
}

// hasErrors reports whether body is a JSON object whose member `errors` holds something: anything but null, false, "", [] and {}.
func hasErrors(body []byte) bool {
	var object struct {
		Errors any `json:"errors"`
	}
	if json.Unmarshal(body, &object) != nil {
		return false
	}
	switch held := object.Errors.(type) {
	case nil:
		return false
	case bool:
		return held
	case string:
		return held != ""
	case []any:
		return len(held) > 0
	case map[string]any:
		return len(held) > 0
	}
	return true
}

var excerpts = sync.Pool{New: func() any { return new([excerptLimit]byte) }}

// excerptOf reads the answer up to the limit, so that the connection can be used again, and returns its beginning. How the reading ends
// doesn't matter: the status has said it all.
func excerptOf(response *http.Response) string {
	if response.ContentLength == 0 {
		return ""
	}
	buffer := excerpts.Get().(*[excerptLimit]byte)
	defer excerpts.Put(buffer)
	n, err := io.ReadFull(response.Body, buffer[:])
	if err == nil { // there may be more
		_, _ = io.CopyN(io.Discard, response.Body, bodyLimit-excerptLimit)
	}
	return clean(buffer[:n])
}

// clean makes text out of whatever a receiver sent: valid UTF-8, without control characters (terminals obey them) but for line ends and
// tabs.
func clean(raw []byte) string {
	text := strings.ToValidUTF8(string(raw), "\uFFFD")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return ' '
		}
		return r
	}, text)
}
