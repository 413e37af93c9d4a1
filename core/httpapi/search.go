package httpapi

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/core"
)

// search returns the page of subscribers that the criteria ask for, and how many there are on all pages. Comparing text by eq, in and their
// opposites minds the case; like doesn't, as in the reference system's database.
func search(subscribers []core.Subscriber, c SearchCriteria) (page []core.Subscriber, total int, err error) {
	groups := make([][]condition, len(c.FilterGroups))
	for i, g := range c.FilterGroups {
		for _, f := range g.Filters {
			compiled, err := compile(f)
			if err != nil {
				return nil, 0, err
			}
			groups[i] = append(groups[i], compiled)
		}
	}
	var found []core.Subscriber
	for _, s := range subscribers {
		if matchesAll(s, groups) {
			found = append(found, s)
		}
	}
	if err := sortBy(found, c.SortOrders); err != nil {
		return nil, 0, err
	}
	return pageOf(found, c), len(found), nil
}

// pageOf cuts the page out. A page after the last one is empty.
func pageOf(found []core.Subscriber, c SearchCriteria) []core.Subscriber {
	size := min(c.PageSize, len(found))
	if size == 0 {
		return found
	}
	before := max(c.CurrentPage, 1) - 1
	if before >= (len(found)+size-1)/size { // asked first, so that the product can't overflow
		return nil
	}
	return found[before*size : min((before+1)*size, len(found))]
}

// condition says whether a subscriber meets one filter.
type condition func(core.Subscriber) bool

func matchesAll(s core.Subscriber, groups [][]condition) bool {
	for _, group := range groups {
		if !slices.ContainsFunc(group, func(meets condition) bool { return meets(s) }) {
			return false
		}
	}
	return true
}

// column is a field that can be searched and sorted by: how to write it as text, and how to compare it with the text of a filter.
type column struct {
	text    func(core.Subscriber) string
	compare func(s core.Subscriber, value string) int // as cmp.Compare
	check   func(value string) error                  // nil: any value will do
	sort    func(a, b core.Subscriber) int
}

// columns has no verification_token: it can't be guessed by searching either.
var columns = map[string]column{
	"subscription_id": {
		text:    func(s core.Subscriber) string { return s.ID.String() },
		compare: func(s core.Subscriber, value string) int { return cmp.Compare(int64(s.ID), number(value)) },
		check:   checkNumber,
		sort:    func(a, b core.Subscriber) int { return cmp.Compare(a.ID, b.ID) },
	},
	"event_name":    textColumn(func(s core.Subscriber) string { return s.Event }),
	"recipient_url": textColumn(func(s core.Subscriber) string { return s.URL }),
	"metadata":      textColumn(func(s core.Subscriber) string { return s.Notifier }),
	"status": {
		text:    func(s core.Subscriber) string { return strconv.Itoa(asNumber(s.Enabled)) },
		compare: func(s core.Subscriber, value string) int { return cmp.Compare(asNumber(s.Enabled), flagNumber(value)) },
		check:   checkFlag,
		sort:    func(a, b core.Subscriber) int { return cmp.Compare(asNumber(a.Enabled), asNumber(b.Enabled)) },
	},
	"subscribed_at": timeColumn(func(s core.Subscriber) time.Time { return s.Created }),
	"modified":      timeColumn(func(s core.Subscriber) time.Time { return s.Modified }),
}

func textColumn(text func(core.Subscriber) string) column {
	return column{
		text:    text,
		compare: func(s core.Subscriber, value string) int { return cmp.Compare(text(s), value) },
		sort:    func(a, b core.Subscriber) int { return cmp.Compare(text(a), text(b)) },
	}
}

// timeColumn compares to the second, which is all that the answer shows.
func timeColumn(at func(core.Subscriber) time.Time) column {
	return column{
		text: func(s core.Subscriber) string { return at(s).UTC().Format(magentoTime) },
		compare: func(s core.Subscriber, value string) int {
			wanted, _ := parseTime(value) // check has seen it
			return at(s).Truncate(time.Second).Compare(wanted)
		},
		check: func(value string) error { _, err := parseTime(value); return err },
		sort:  func(a, b core.Subscriber) int { return at(a).Compare(at(b)) },
	}
}

func columnOf(parameter, field string) (column, error) {
	c, ok := columns[field]
	if !ok {
		return c, core.Invalidf(parameter, "subscribers can't be searched or sorted by the field %q: there is subscription_id, event_name, recipient_url, "+
			"status, metadata, subscribed_at and modified", field)
	}
	return c, nil
}

// compile makes a condition of f.
func compile(f Filter) (condition, error) {
	const parameter = "searchCriteria[filter_groups]"
	col, err := columnOf(parameter, f.Field)
	if err != nil {
		return nil, err
	}
	values := []string{f.Value}
	if f.ConditionType == "in" || f.ConditionType == "nin" {
		values = strings.Split(f.Value, ",")
		for i := range values {
			values[i] = strings.TrimSpace(values[i])
		}
	}
	if col.check != nil && f.ConditionType != "like" && !strings.HasSuffix(f.ConditionType, "null") {
		for _, value := range values {
			if err := col.check(value); err != nil {
				return nil, core.Invalidf(parameter, "the field %s is compared with %q: %s", f.Field, value, err)
			}
		}
	}
	isAny := func(s core.Subscriber) bool {
		return slices.ContainsFunc(values, func(value string) bool { return col.compare(s, value) == 0 })
	}
	conditions := map[string]condition{
		"eq":      isAny,
		"neq":     func(s core.Subscriber) bool { return !isAny(s) },
		"in":      isAny,
		"nin":     func(s core.Subscriber) bool { return !isAny(s) },
		"gt":      func(s core.Subscriber) bool { return col.compare(s, f.Value) > 0 },
		"lt":      func(s core.Subscriber) bool { return col.compare(s, f.Value) < 0 },
		"gteq":    func(s core.Subscriber) bool { return col.compare(s, f.Value) >= 0 },
		"lteq":    func(s core.Subscriber) bool { return col.compare(s, f.Value) <= 0 },
		"like":    func(s core.Subscriber) bool { return like([]rune(col.text(s)), []rune(f.Value)) },
		"null":    func(core.Subscriber) bool { return false }, // every field has a value
		"notnull": func(core.Subscriber) bool { return true },
	}
	meets, ok := conditions[f.ConditionType]
	if !ok {
		return nil, core.Invalidf(parameter, "there is no condition %q: there is eq, neq, gt, lt, gteq, lteq, like, in, nin, null and notnull", f.ConditionType)
	}
	return meets, nil
}

func sortBy(found []core.Subscriber, orders []SortOrder) error {
	var by []func(a, b core.Subscriber) int
	for _, o := range orders {
		col, err := columnOf("searchCriteria[sortOrders]", o.Field)
		if err != nil {
			return err
		}
		if o.Direction == "DESC" {
			by = append(by, func(a, b core.Subscriber) int { return col.sort(b, a) })
		} else {
			by = append(by, col.sort)
		}
	}
	slices.SortStableFunc(found, func(a, b core.Subscriber) int {
		for _, compare := range by {
			if c := compare(a, b); c != 0 {
				return c
			}
		}
		return 0
	})
	return nil
}

// like matches as SQL does, without minding the case: % is any text, _ is any character, a backslash takes the next one as it stands. It takes
// time in proportion to the product of both lengths at worst: on a mismatch only the last % is tried again, further on.
func like(text, pattern []rune) bool {
	t, p := 0, 0
	retryText, retryPattern := 0, -1
	for t < len(text) {
		if p < len(pattern) && pattern[p] == '%' {
			p++
			retryText, retryPattern = t, p
			continue
		}
		if width, ok := matchesOne(text[t], pattern[p:]); ok {
			t++
			p += width
			continue
		}
		if retryPattern < 0 {
			return false
		}
		retryText++
		t, p = retryText, retryPattern
	}
	return strings.Trim(string(pattern[p:]), "%") == ""
}

// matchesOne says whether r matches the head of pattern, and how long that head is.
func matchesOne(r rune, pattern []rune) (width int, ok bool) {
	switch {
	case len(pattern) == 0:
		return 0, false
	case pattern[0] == '_':
		return 1, true
	case pattern[0] == '\\' && len(pattern) > 1:
		return 2, strings.EqualFold(string(r), string(pattern[1]))
	}
	return 1, strings.EqualFold(string(r), string(pattern[0]))
}
