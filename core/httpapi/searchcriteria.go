package httpapi

import (
	"cmp"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider/postrider/core"
)

// Magento's search criteria, as they stand in a query:
//
//	searchCriteria[filter_groups][0][filters][0][field]=event_name
//	searchCriteria[filter_groups][0][filters][0][value]=sales.%
//	searchCriteria[filter_groups][0][filters][0][condition_type]=like
//	searchCriteria[sortOrders][0][field]=subscription_id
//	searchCriteria[pageSize]=20
//
// Each name may be written in camelCase or in snake_case.
// https://developer.adobe.com/commerce/webapi/rest/use-rest/performing-searches/

// maxCriteria bounds how many parameters a search may have.
const maxCriteria = 1000

var criteriaKey = regexp.MustCompile(`^search_criteria((?:\[[a-z0-9_]*\])*)$`)

// readSearchCriteria reads a query. Parameters beside the search criteria are refused, because a mistyped filter would select everything.
func readSearchCriteria(rawQuery string) (SearchCriteria, error) {
	criteria := SearchCriteria{FilterGroups: []FilterGroup{}}
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return criteria, core.Invalidf("searchCriteria", "the query of the URL can't be read: %s", err)
	}
	if len(values) > maxCriteria {
		return criteria, core.Invalidf("searchCriteria", "the search has %d parameters: at most %d", len(values), maxCriteria)
	}
	groups := map[int]map[int]*Filter{}
	orders := map[int]*SortOrder{}
	known := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		given := values[name]
		snake := snakeCase(name)
		if known[snake] || len(given) > 1 {
			return criteria, core.Invalidf(name, "the search says twice what %q is: leave one out", name)
		}
		known[snake] = true
		if !criteria.read(snake, given[0], groups, orders) {
			return criteria, core.Invalidf(name, "the search can't be read at %q: write searchCriteria[filter_groups][0][filters][0][field|value|condition_type], "+
				"searchCriteria[sortOrders][0][field|direction], searchCriteria[pageSize] and searchCriteria[currentPage], with whole numbers", name)
		}
	}
	for _, filters := range inOrder(groups) {
		group := FilterGroup{}
		for _, f := range inOrder(filters) {
			f.ConditionType = cmp.Or(f.ConditionType, "eq")
			group.Filters = append(group.Filters, *f)
		}
		criteria.FilterGroups = append(criteria.FilterGroups, group)
	}
	for _, o := range inOrder(orders) {
		o.Direction = cmp.Or(strings.ToUpper(o.Direction), "ASC")
		if o.Direction != "ASC" && o.Direction != "DESC" {
			return criteria, core.Invalidf("searchCriteria[sortOrders]", "the direction of a sort order is %q: it must be ASC or DESC", o.Direction)
		}
		criteria.SortOrders = append(criteria.SortOrders, *o)
	}
	return criteria, nil
}

// read reads one parameter, in snake_case, into the criteria, or into groups and orders by their indexes. It returns false when it means nothing.
func (c *SearchCriteria) read(name, value string, groups map[int]map[int]*Filter, orders map[int]*SortOrder) bool {
	match := criteriaKey.FindStringSubmatch(name)
	if match == nil {
		return false
	}
	path := strings.Split(strings.TrimSuffix(strings.TrimPrefix(match[1], "["), "]"), "][")
	switch {
	case len(path) == 1 && path[0] == "": // ?searchCriteria, ?searchCriteria=all: no criteria
		return true
	case len(path) == 1 && path[0] == "page_size":
		return readCount(value, &c.PageSize)
	case len(path) == 1 && path[0] == "current_page":
		return readCount(value, &c.CurrentPage)
	case len(path) == 3 && path[0] == "sort_orders":
		order, ok := entryAt(orders, path[1])
		return ok && readMember(path[2], value, map[string]*string{"field": &order.Field, "direction": &order.Direction})
	case len(path) == 5 && path[0] == "filter_groups" && path[2] == "filters":
		index, ok := indexOf(path[1])
		if !ok {
			return false
		}
		if groups[index] == nil {
			groups[index] = map[int]*Filter{}
		}
		f, ok := entryAt(groups[index], path[3])
		return ok && readMember(path[4], value, map[string]*string{"field": &f.Field, "value": &f.Value, "condition_type": &f.ConditionType})
	}
	return false
}

// snakeCase turns every filterGroups into filter_groups.
func snakeCase(name string) string {
	var snake strings.Builder
	for _, r := range name {
		if r >= 'A' && r <= 'Z' {
			snake.WriteByte('_')
			r += 'a' - 'A'
		}
		snake.WriteRune(r)
	}
	return snake.String()
}

// entryAt returns the entry of an index, and makes it when there is none yet.
func entryAt[T any](entries map[int]*T, index string) (*T, bool) {
	i, ok := indexOf(index)
	if !ok {
		return nil, false
	}
	if entries[i] == nil {
		entries[i] = new(T)
	}
	return entries[i], true
}

// indexOf reads an index, which is written in one way only: 01 is none, or two parameters could mean the same.
func indexOf(text string) (int, bool) {
	i, err := strconv.Atoi(text)
	return i, err == nil && strconv.Itoa(i) == text
}

func readMember(name, value string, members map[string]*string) bool {
	member, ok := members[name]
	if ok {
		*member = value
	}
	return ok
}

func readCount(value string, count *int) bool {
	n, err := strconv.Atoi(value)
	*count = n
	return err == nil && n >= 0
}

// inOrder returns the values by their indexes.
func inOrder[T any](entries map[int]T) []T {
	var ordered []T
	for _, index := range slices.Sorted(maps.Keys(entries)) {
		ordered = append(ordered, entries[index])
	}
	return ordered
}
