package post

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/postrider/postrider/sdk"
)

// Success is the success rule as users write it, in a notifier's configuration or in a subscriber's settings:
//
//	success:
//	  delivered: ["2xx", "409"]     # what counts as delivered
//	  retry: ["5xx", "429"]         # what is tried again; all other answers are rejected at once
//	  errors_member_fails: true     # an answer such as {"errors": ["…"]} is a failure, whatever its status
//
// Network errors and timeouts are tried again and 410 disables the subscriber, whatever the rule says.
type Success struct {
	Delivered []StatusPattern `json:"delivered,omitempty" jsonschema:"statuses that count as delivered, as \"200\" or \"2xx\"; left out: 2xx"`

	Retry []StatusPattern `json:"retry,omitempty" jsonschema:"statuses that are tried again, as \"503\" or \"5xx\"; all others are rejected then; left out: all that are not delivered"`

	ErrorsMemberFails bool `json:"errors_member_fails,omitempty" jsonschema:"a delivered status fails, and is tried again, if the answer is a JSON object with a filled member errors"`
}

// StatusPattern is an HTTP status, as "503", or a class of them, as "5xx".
type StatusPattern string

// JSONSchema takes what [Success.Rule] takes, so that a bad pattern is refused when it is written and not when it is needed. 410 is missing: it always
// means that the receiver wants no more.
func (StatusPattern) JSONSchema() json.RawMessage {
	return json.RawMessage(`{
		"type": "string",
		"pattern": "^([1-5]xx|[1235][0-9][0-9]|4(0[0-9]|1[1-9]|[2-9][0-9]))$",
		"description": "an HTTP status, as \"503\", or a class of them, as \"5xx\"; not 410, which always means that no more is wanted"
	}`)
}

// Rule says what an answer means. The zero Rule takes nothing as delivered: get one from [Success.Rule].
type Rule struct {
	delivered statuses
	retry     statuses
	errors    bool // a filled member `errors` of the answer is a failure
}

// Rule reads the rule. An error names the entry that is wrong, as "delivered[0]", and says what it must be.
func (s Success) Rule() (*Rule, error) {
	rule := &Rule{errors: s.ErrorsMemberFails}
	for i, pattern := range s.Delivered {
		if err := rule.delivered.add(pattern); err != nil {
			return nil, fmt.Errorf("delivered[%d]: %w", i, err)
		}
	}
	for i, pattern := range s.Retry {
		if err := rule.retry.add(pattern); err != nil {
			return nil, fmt.Errorf("retry[%d]: %w", i, err)
		}
	}
	if len(s.Delivered) == 0 {
		rule.delivered.addRange(200, 299)
	}
	if len(s.Retry) == 0 {
		rule.retry.addRange(0, maxStatus)
	}
	return rule, nil
}

// verdict says what a status means by itself, before anything is known of the body.
func (r *Rule) verdict(status int) sdk.Status {
	switch {
	case status == http.StatusGone:
		return sdk.StatusRejected
	case r.delivered.has(status):
		return sdk.StatusDelivered
	case r.retry.has(status):
		return sdk.StatusRetry
	}
	return sdk.StatusRejected
}

// maxStatus is the highest status that three digits can say; nothing else gets past net/http.
const maxStatus = 999

// statuses is a set of HTTP statuses, a bit each.
type statuses [maxStatus/64 + 1]uint64

func (s *statuses) has(status int) bool {
	return status >= 0 && status <= maxStatus && s[status/64]&(1<<(status%64)) != 0
}

func (s *statuses) addRange(first, last int) {
	for status := first; status <= last; status++ {
		s[status/64] |= 1 << (status % 64)
	}
}

// add takes a pattern: a status, as "503", or a class of them, as "5xx".
func (s *statuses) add(pattern StatusPattern) error {
	if pattern == "410" {
		return fmt.Errorf("410 always means that the receiver wants no more deliveries: leave it out")
	}
	if len(pattern) == 3 && pattern[0] >= '1' && pattern[0] <= '5' {
		if pattern[1:] == "xx" {
			class := int(pattern[0]-'0') * 100
			s.addRange(class, class+99)
			return nil
		}
		if status, err := strconv.ParseUint(string(pattern), 10, 16); err == nil {
			s.addRange(int(status), int(status))
			return nil
		}
	}
	return fmt.Errorf("%q is no HTTP status: write one, as \"503\", or a class of them, as \"5xx\"", pattern)
}
