package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/eventjson"
)

// problemf makes an error that becomes the answer as it stands.
func problemf(status int, format string, args ...any) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}
}

// retryAfter is how long a client should wait when the daemon can't take anything now, in seconds.
const retryAfter = "5"

// fail answers with what err means to the client.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		return // the client has gone: nobody reads the answer
	}
	p := problemOf(err)
	switch p.Status {
	case http.StatusInternalServerError:
		a.Logger.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		w.Header().Set("Retry-After", retryAfter)
	}
	writeProblem(w, p)
}

func problemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if malformed, ok := errors.AsType[eventjson.Malformed](err); ok {
		return problemf(http.StatusBadRequest, "the body is %s", malformed)
	}
	if fields := invalidFields(err); len(fields) > 0 {
		p := problemf(http.StatusUnprocessableEntity, "%s", fields[0].Message)
		p.Errors = fields
		return p
	}
	switch {
	case errors.Is(err, core.ErrNotFound):
		return problemf(http.StatusNotFound, "%s", err)
	case errors.Is(err, core.ErrConflict):
		return problemf(http.StatusConflict, "%s", err)
	case errors.Is(err, core.ErrTooLarge):
		return problemf(http.StatusRequestEntityTooLarge, "%s", err)
	case errors.Is(err, core.ErrPermanent):
		return problemf(http.StatusUnprocessableEntity, "%s", err)
	case errors.Is(err, core.ErrNoSpace):
		return problemf(http.StatusInsufficientStorage,
			"nothing was accepted, because the disk of the data directory is too full: free some space, then repeat the request")
	case errors.Is(err, core.ErrUnavailable), errors.Is(err, core.ErrClosed), errors.Is(err, context.DeadlineExceeded):
		return problemf(http.StatusServiceUnavailable, "nothing was accepted, because the daemon can't reach its queue or its store now, "+
			"or is stopping: repeat the request in a few seconds")
	}
	return problemf(http.StatusInternalServerError, "the daemon failed to answer; its log says why")
}

// invalidFields collects what err says is wrong with the input; errors may be joined.
func invalidFields(err error) []FieldError {
	switch e := err.(type) {
	case nil:
		return nil
	case *core.Invalid:
		return []FieldError{{Field: e.Field, Message: e.What}}
	case interface{ Unwrap() []error }:
		var fields []FieldError
		for _, inner := range e.Unwrap() {
			fields = append(fields, invalidFields(inner)...)
		}
		return fields
	default:
		return invalidFields(errors.Unwrap(err))
	}
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	writeJSON(w, p.Status, problemType, p)
}
