package httpapi

import (
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
)

// encode writes criteria as a query.
func (c SearchCriteria) encode() string {
	query := url.Values{}
	for i, g := range c.FilterGroups {
		for j, f := range g.Filters {
			prefix := fmt.Sprintf("searchCriteria[filter_groups][%d][filters][%d]", i, j)
			query.Set(prefix+"[field]", f.Field)
			query.Set(prefix+"[value]", f.Value)
			query.Set(prefix+"[condition_type]", f.ConditionType)
		}
	}
	for i, o := range c.SortOrders {
		prefix := fmt.Sprintf("searchCriteria[sortOrders][%d]", i)
		query.Set(prefix+"[field]", o.Field)
		query.Set(prefix+"[direction]", o.Direction)
	}
	query.Set("searchCriteria[pageSize]", strconv.Itoa(c.PageSize))
	query.Set("searchCriteria[currentPage]", strconv.Itoa(c.CurrentPage))
	return query.Encode()
}

// FuzzSearch reads any query. What is accepted means the same each time, also when it is written again; what is found is there.
func FuzzSearch(f *testing.F) {
	subscribers := []core.Subscriber{
		{ID: 1, Event: "sales.order.created", URL: "https://a.example", Notifier: "default", Enabled: true, Created: time.Unix(1e9, 5)},
		{ID: 2, Event: "stock.item.changed", URL: "https://b.example/%_\\", Notifier: "slack", Modified: time.Unix(2e9, 0)},
		{ID: 3, Event: "sales.order.refunded", URL: "https://c.example/ſ", Notifier: "default", Enabled: true},
	}
	f.Fuzz(func(t *testing.T, query string) {
		criteria, err := readSearchCriteria(query)
		again, errAgain := readSearchCriteria(query)
		if (err == nil) != (errAgain == nil) {
			t.Fatalf("read twice: %v, then %v", err, errAgain)
		}
		if err != nil {
			if !core.IsInvalid(err) {
				t.Errorf("%v is not an invalid one", err)
			}
			return
		}
		if !reflect.DeepEqual(criteria, again) {
			t.Fatalf("read twice: %+v, then %+v", criteria, again)
		}
		if again, err := readSearchCriteria(criteria.encode()); err != nil || !reflect.DeepEqual(criteria, again) {
			t.Fatalf("%+v became %+v, %v", criteria, again, err)
		}
		page, total, err := search(subscribers, criteria)
		if err != nil {
			if !core.IsInvalid(err) {
				t.Errorf("%v is not an invalid one", err)
			}
			return
		}
		if total > len(subscribers) || len(page) > total || criteria.PageSize > 0 && len(page) > criteria.PageSize {
			t.Errorf("%+v: a page of %d, of %d in all", criteria, len(page), total)
		}
		seen := map[core.SubscriberID]bool{}
		for _, s := range page {
			if seen[s.ID] {
				t.Errorf("%+v: %d is there twice", criteria, s.ID)
			}
			seen[s.ID] = true
		}
	})
}

// FuzzLike compares like with a regular expression that means the same.
func FuzzLike(f *testing.F) {
	f.Fuzz(func(t *testing.T, text, pattern string) {
		if len(text) > 100 || len(pattern) > 100 {
			return // longer ones say nothing new, slowly
		}
		var same strings.Builder
		same.WriteString("(?is)^")
		runes := []rune(pattern)
		for i := 0; i < len(runes); i++ {
			switch {
			case runes[i] == '%':
				same.WriteString(".*")
			case runes[i] == '_':
				same.WriteString(".")
			default:
				if runes[i] == '\\' && i+1 < len(runes) {
					i++
				}
				same.WriteString(regexp.QuoteMeta(string(runes[i])))
			}
		}
		want := regexp.MustCompile(same.String() + "$").MatchString(string([]rune(text)))
		if got := like([]rune(text), runes); got != want {
			t.Errorf("%q like %q: got %t, want %t", text, pattern, got, want)
		}
	})
}
