package httpapi

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gorilla/mux"

	"github.com/postrider/postrider/core"
)

// How long a page may be, and is where the request doesn't say.
const (
	maxLimit     = 1000
	defaultLimit = 100
)

// query is the part of a URL after "?". The first mistake in it is kept, so that its readers can be called in a row.
type query struct {
	values url.Values
	err    error
}

// queryOf reads the query; parameters that are not known are refused, because a mistyped filter would select everything.
func queryOf(r *http.Request, known ...string) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	q := &query{values: values}
	if err != nil {
		q.err = core.Invalidf("", "the query of the URL can't be read: %s", err)
		return q
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(known, name) {
			q.refuse(name, "there is no parameter %q here: there is %s", name, strings.Join(known, ", "))
		}
	}
	return q
}

func (q *query) refuse(parameter, format string, args ...any) {
	if q.err == nil {
		q.err = core.Invalidf(parameter, format, args...)
	}
}

func (q *query) text(parameter string) string { return q.values.Get(parameter) }

// number reads a number from 1; 0: the parameter is not there.
func (q *query) number(parameter string) int64 {
	text := q.text(parameter)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		q.refuse(parameter, "%s is %q: it must be a number from 1", parameter, text)
	}
	return n
}

func (q *query) limit() int {
	n := q.number("limit")
	if n == 0 {
		return defaultLimit
	}
	if n > maxLimit {
		q.refuse("limit", "limit is %d: at most %d fit on a page", n, maxLimit)
	}
	return int(n)
}

// pathID returns what stands for {id} in the path, unescaped.
func pathID(r *http.Request) (string, error) {
	id, err := url.PathUnescape(mux.Vars(r)["id"])
	if err != nil {
		return "", core.Invalidf("id", "the id in the path can't be read: %s", err)
	}
	return id, nil
}

// notFoundAs puts a sentence in the place of core.ErrNotFound; other errors stay as they are.
func notFoundAs(err error, format string, args ...any) error {
	if errors.Is(err, core.ErrNotFound) {
		return problemf(http.StatusNotFound, format, args...)
	}
	return err
}
