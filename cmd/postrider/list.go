package main

import (
	"net/url"
	"strconv"
)

// defaultLimit is how much of a list is shown unless --limit says otherwise.
const defaultLimit = 50

// filters is a query of what is not empty.
func filters(words map[string]string, subscriber int64) url.Values {
	query := url.Values{}
	for name, word := range words {
		if word != "" {
			query.Set(name, word)
		}
	}
	if subscriber != 0 {
		query.Set("subscriber", strconv.FormatInt(subscriber, 10))
	}
	return query
}

// more says that a list goes on.
func (a *app) more(next string, shown int) {
	if next != "" {
		a.sayf("\nThere are more than these %s: --limit shows them.", thousands(shown))
	}
}
