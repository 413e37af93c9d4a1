package httpapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/httpapi"
)

func TestTheReferenceRoutesAnswerAsTheReferenceDocumentSays(t *testing.T) {
	d := newDaemon()
	for i, path := range []string{"/rest/V1/webhook", "/rest/v1/webhook"} {
		w := d.do(http.MethodPost, path, `{"webhook":{"event_name":"sales.order.created","recipient_url":"https://localhost:8080/order_handler",
			"verification_token":"`+secret+`","metadata":"default"}}`)
		want := `{"subscription_id":` + string(rune('1'+i)) + `,"event_name":"sales.order.created","recipient_url":"https://localhost:8080/order_handler",` +
			`"status":true,"subscribed_at":"2026-11-23 15:36:26"}`
		if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusOK || got != want {
			t.Errorf("got %d %s, want 200 %s", w.Code, got, want)
		}
		if got := d.do(http.MethodGet, path+"/1", ""); !strings.Contains(got.Body.String(), `{"subscription_id":1,`) || strings.Contains(got.Body.String(), secret) {
			t.Errorf("got %s, want the subscriber without its token", got.Body)
		}
	}
	if got, _ := d.store.Subscriber(1); got.Token != secret || got.Notifier != core.DefaultNotifier {
		t.Errorf("got %+v in the store", got)
	}
}

func TestAReferencePutChangesOnlyWhatItGives(t *testing.T) {
	d := newDaemon()
	d.store.subscribers = []core.Subscriber{{ID: 1, Event: "stock.item.changed", URL: "https://x", Token: secret, Notifier: "default", Enabled: true}}
	for _, test := range []struct {
		body string
		want core.Subscriber
	}{
		{`{"webhook":{"metadata":"slack"}}`, core.Subscriber{URL: "https://x", Notifier: "slack", Enabled: true}},
		{`{"webhook":{"status":false,"subscription_id":1,"subscribed_at":"2026-11-23 15:36:26"}}`, core.Subscriber{URL: "https://x", Notifier: "slack"}},
		{`{"webhook":{"recipient_url":"https://y"}}`, core.Subscriber{URL: "https://y", Notifier: "slack"}},
		{`{"webhook":{"status":"1"}}`, core.Subscriber{URL: "https://y", Notifier: "slack", Enabled: true}},
		{`{"webhook":{"status":null}}`, core.Subscriber{URL: "https://y", Notifier: "slack", Enabled: true}},
		{`{"webhook":{"status":0}}`, core.Subscriber{URL: "https://y", Notifier: "slack"}},
	} {
		answered := decoded[httpapi.ReferenceSubscriber](t, d.do(http.MethodPut, "/rest/V1/webhook/1", test.body), http.StatusOK)
		got, _ := d.store.Subscriber(1)
		if got.URL != test.want.URL || got.Notifier != test.want.Notifier || got.Enabled != test.want.Enabled || got.Token != secret || got.Event != "stock.item.changed" {
			t.Errorf("after %s: got %+v, want %+v", test.body, got, test.want)
		}
		if answered.Status != test.want.Enabled || answered.RecipientURL != test.want.URL {
			t.Errorf("after %s: got answer %+v", test.body, answered)
		}
	}
	problem(t, d.do(http.MethodPut, "/rest/V1/webhook/9", `{"webhook":{}}`), http.StatusNotFound, "no subscriber 9")
}

func TestABadReferenceRequestIsRefusedInTheClientsWords(t *testing.T) {
	for body, field := range map[string]string{
		`{}`:                  "webhook",
		`{"webhook":null}`:    "webhook",
		`{"webhook":"x"}`:     "webhook",
		`{"hook":{}}`:         "hook",
		`{"webhook":{"x":1}}`: "x",
		`{"webhook":{"event_name":"nothing.known","recipient_url":"https://x"}}`:                             "webhook.event_name",
		`{"webhook":{"event_name":"stock.item.changed"}}`:                                                    "webhook.recipient_url",
		`{"webhook":{"event_name":"stock.item.changed","recipient_url":"gopher://x"}}`:                       "webhook.recipient_url",
		`{"webhook":{"event_name":"stock.item.changed","recipient_url":"https://x","metadata":"pigeon"}}`:    "webhook.metadata",
		`{"webhook":{"event_name":"stock.item.changed","recipient_url":"https://x","verification_token":1}}`: "webhook.verification_token",
	} {
		p := problem(t, newDaemon().do(http.MethodPost, "/rest/V1/webhook", body), http.StatusUnprocessableEntity, "")
		if len(p.Errors) != 1 || p.Errors[0].Field != field {
			t.Errorf("%s: got errors %+v, want one on %q", body, p.Errors, field)
		}
	}
	problem(t, newDaemon().do(http.MethodPost, "/rest/V1/webhook", `{"webhook":{"status":"yes"}}`), http.StatusUnprocessableEntity, "must be true or false")
}

// shop has five subscribers to search for.
func shop() *daemon {
	d := newDaemon()
	for i, s := range []core.Subscriber{
		{Event: "sales.order.created", URL: "https://a.example/100%", Notifier: "default", Enabled: true},
		{Event: "sales.order.refunded", URL: "https://b.example/", Notifier: "slack", Enabled: true},
		{Event: "stock.item.changed", URL: "https://c.example/", Notifier: "default"},
		{Event: "sales_order.created", URL: "https://d.example/", Notifier: "default", Enabled: true},
		{Event: "stock.item.changed", URL: "https://e.example/", Notifier: "Slack", Enabled: true},
	} {
		s.ID, s.Token = core.SubscriberID(i+1), secret
		s.Created = testTime.Add(time.Duration(i) * time.Hour)
		s.Modified = s.Created.Add(24 * time.Hour)
		d.store.subscribers = append(d.store.subscribers, s)
	}
	return d
}

// where writes the search criteria of groups of filters, each of them "field condition value".
func where(groups ...[]string) url.Values {
	values := url.Values{}
	for i, group := range groups {
		for j, f := range group {
			prefix := "searchCriteria[filter_groups][" + string(rune('0'+i)) + "][filters][" + string(rune('0'+j)) + "]"
			field, rest, _ := strings.Cut(f, " ")
			condition, value, _ := strings.Cut(rest, " ")
			values.Set(prefix+"[field]", field)
			values.Set(prefix+"[value]", value)
			if condition != "" {
				values.Set(prefix+"[condition_type]", condition)
			}
		}
	}
	return values
}

func TestSearchCriteriaSelectSubscribers(t *testing.T) {
	d := shop()
	for _, test := range []struct {
		groups [][]string
		ids    string
	}{
		{nil, "12345"},
		{[][]string{{"event_name  stock.item.changed"}}, "35"},
		{[][]string{{"event_name eq stock.item.changed"}}, "35"},
		{[][]string{{"event_name neq stock.item.changed"}}, "124"},
		{[][]string{{"event_name like sales.%"}}, "12"},
		{[][]string{{"event_name like SALES_ORDER%"}}, "124"},
		{[][]string{{`event_name like sales\_order%`}}, "4"},
		{[][]string{{`recipient_url like %100\%`}}, "1"},
		{[][]string{{"event_name like %e%.%d"}}, "12345"},
		{[][]string{{"metadata like slack"}}, "25"},
		{[][]string{{"metadata eq slack"}}, "2"},
		{[][]string{{"event_name in sales.order.created, stock.item.changed"}}, "135"},
		{[][]string{{"subscription_id nin 1,2"}}, "345"},
		{[][]string{{"subscription_id gt 3"}}, "45"},
		{[][]string{{"subscription_id lt 3"}}, "12"},
		{[][]string{{"subscription_id gteq 3"}}, "345"},
		{[][]string{{"subscription_id lteq 3"}}, "123"},
		{[][]string{{"subscription_id like 3"}}, "3"},
		{[][]string{{"status eq 1"}}, "1245"},
		{[][]string{{"status eq false"}}, "3"},
		{[][]string{{"subscribed_at eq 2026-11-23 16:36:26"}}, "2"},
		{[][]string{{"subscribed_at gt 2026-11-23 17:36:26"}}, "45"},
		{[][]string{{"subscribed_at lteq 2026-11-23T16:36:26Z"}}, "12"},
		{[][]string{{"modified gteq 2026-11-24"}}, "12345"},
		{[][]string{{"metadata null"}}, ""},
		{[][]string{{"metadata notnull"}}, "12345"},
		{[][]string{{"subscription_id eq 1", "subscription_id eq 3"}, {"status eq 1"}}, "1"},
	} {
		w := d.do(http.MethodGet, "/rest/V1/webhooks?"+where(test.groups...).Encode(), "")
		list := decoded[httpapi.ReferenceList](t, w, http.StatusOK)
		if got := ids(list); got != test.ids || list.TotalCount != len(test.ids) {
			t.Errorf("%q: got %q of %d, want %q", test.groups, got, list.TotalCount, test.ids)
		}
		if strings.Contains(w.Body.String(), secret) {
			t.Errorf("%q: the list shows a token", test.groups)
		}
	}
}

func ids(list httpapi.ReferenceList) string {
	text := ""
	for _, s := range list.Items {
		text += core.SubscriberID(s.SubscriptionID).String()
	}
	return text
}

func TestSearchCriteriaSortAndPage(t *testing.T) {
	d := shop()
	for _, test := range []struct{ query, ids string }{
		{"searchCriteria", "12345"},
		{"searchCriteria=all", "12345"},
		{"searchCriteria[]=", "12345"},
		{"searchCriteria[pageSize]=2", "12"},
		{"searchCriteria[pageSize]=2&searchCriteria[currentPage]=2", "34"},
		{"search_criteria[page_size]=2&search_criteria[current_page]=3", "5"},
		{"searchCriteria[pageSize]=2&searchCriteria[currentPage]=4", ""},
		{"searchCriteria[pageSize]=9223372036854775807&searchCriteria[currentPage]=9223372036854775807", ""},
		{"searchCriteria[pageSize]=1&searchCriteria[currentPage]=9223372036854775807", ""},
		{"searchCriteria[pageSize]=0", "12345"},
		{"searchCriteria[sortOrders][0][field]=subscription_id&searchCriteria[sortOrders][0][direction]=desc", "54321"},
		{"searchCriteria[sort_orders][0][field]=event_name&searchCriteria[sort_orders][1][field]=subscribed_at&searchCriteria[sort_orders][1][direction]=DESC", "12453"},
		{"searchCriteria[sortOrders][0][field]=status&searchCriteria[pageSize]=2", "31"},
		{"searchCriteria[filterGroups][0][filters][0][field]=status&searchCriteria[filterGroups][0][filters][0][value]=0&searchCriteria[filterGroups][0][filters][0][conditionType]=eq", "3"},
	} {
		list := decoded[httpapi.ReferenceList](t, d.do(http.MethodGet, "/rest/v1/webhooks?"+test.query, ""), http.StatusOK)
		if got := ids(list); got != test.ids || list.Items == nil || list.SearchCriteria.FilterGroups == nil {
			t.Errorf("%s: got %q, want %q", test.query, got, test.ids)
		}
	}
	w := d.do(http.MethodGet, "/rest/V1/webhooks?searchCriteria[pageSize]=1&searchCriteria[currentPage]=2&searchCriteria[filter_groups][3][filters][7][field]=status&searchCriteria[filter_groups][3][filters][7][value]=1", "")
	want := `"search_criteria":{"filter_groups":[{"filters":[{"field":"status","value":"1","condition_type":"eq"}]}],"page_size":1,"current_page":2},"total_count":4}`
	if !strings.HasSuffix(strings.TrimSpace(w.Body.String()), want) {
		t.Errorf("got %s, want it to end with %s", w.Body, want)
	}
}

func TestBadSearchCriteriaAreRefused(t *testing.T) {
	d := shop()
	for query, text := range map[string]string{
		where([]string{"verification_token like f%"}).Encode():                                    "verification_token",
		where([]string{"status is 1"}).Encode():                                                   `no condition \"is\"`,
		where([]string{"status eq maybe"}).Encode():                                               "1 or 0",
		where([]string{"subscription_id in 1,x"}).Encode():                                        "whole number",
		where([]string{"subscribed_at gt yesterday"}).Encode():                                    "2006-01-02 15:04:05",
		"searchCriteria[pageSize]=-1":                                                             "pageSize",
		"searchCriteria[pageSize]=many":                                                           "pageSize",
		"searchCriteria[page]=1":                                                                  "can't be read",
		"searchCriteria[filter_groups][a][filters][0][field]=status":                              "whole numbers",
		"searchCriteria[filter_groups][0][filters][0][feld]=status":                               "feld",
		"searchCriteria[sortOrders][0][field]=status&searchCriteria[sortOrders][0][direction]=up": "ASC or DESC",
		"searchCriteria[sortOrders][0][field]=verification_token":                                 "verification_token",
		"searchCriteria[sortOrders][0][direction]=ASC":                                            "subscription_id",
		"filter=x": "filter",
		"x=%zz":    "can't be read",
		strings.Repeat("searchCriteria[filter_groups][0][filters][0][field]=status&", 2) + "searchCriteria[": "can't be read",
	} {
		problem(t, d.do(http.MethodGet, "/rest/V1/webhooks?"+query, ""), http.StatusUnprocessableEntity, text)
	}
}
