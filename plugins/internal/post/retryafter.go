package post

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// retryAfterLimit is the longest that a receiver can put a delivery off.
const retryAfterLimit = time.Hour

// retryAfter reads a Retry-After field (RFC 9110, 10.2.3): seconds, or a date. What can't be read, or lies in the past, is 0.
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil || errors.Is(err, strconv.ErrRange) { // out of range it is the largest there is
		return min(time.Duration(seconds)*time.Second, retryAfterLimit)
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(0, min(date.Sub(now), retryAfterLimit))
}
