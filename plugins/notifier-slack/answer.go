package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/postrider/postrider/sdk"
)

const statusTooMany = http.StatusTooManyRequests

// verdict is what one of Slack's errors means for the delivery.
type verdict struct {
	what string // is wrong, and what to do
	gone bool   // the webhook takes nothing any more, whatever the message: the subscriber is disabled, and what follows waits until it is enabled
}

// final are the errors that trying again doesn't change
// (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors, https://docs.slack.dev/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks).
var final = map[string]verdict{
	"invalid_payload":       {what: "Slack can't read the message: check the templates of text and blocks"},
	"invalid_blocks":        {what: "Slack doesn't take the blocks: check them in the Block Kit Builder"},
	"invalid_blocks_format": {what: "Slack doesn't take the blocks: check them in the Block Kit Builder"},
	"invalid_attachments":   {what: "Slack doesn't take the message: check the templates of text and blocks"},
	"no_text":               {what: "the message has no text: check the templates"},
	"missing_text_or_fallback_or_attachments": {what: "the message has no text: check the templates"},
	"msg_too_long":                      {what: "the message is too long for Slack: shorten the templates"},
	"msg_blocks_too_long":               {what: "the blocks are too long for Slack: shorten the templates"},
	"too_many_attachments":              {what: "the message has too many attachments"},
	"user_not_found":                    {what: "the user that the message is for doesn't exist"},
	"action_prohibited":                 {what: "the workspace's administrators don't let this webhook post there"},
	"posting_to_general_channel_denied": {what: "the workspace's administrators don't let this webhook post to the general channel"},

	"channel_not_found":   {what: "the webhook's channel doesn't exist any more: make a new webhook, and change the subscriber's recipient_url", gone: true},
	"channel_is_archived": {what: "the webhook's channel is archived: unarchive it, or make a webhook for another one", gone: true},
	"invalid_token":       {what: "Slack doesn't know the webhook: check the subscriber's recipient_url", gone: true},
	"no_service":          {what: "the webhook is disabled, removed or was never there: make a new one, and change the subscriber's recipient_url", gone: true},
	"no_service_id":       {what: "the webhook is disabled, removed or was never there: make a new one, and change the subscriber's recipient_url", gone: true},
	"no_active_hooks":     {what: "the webhook is disabled: enable it in Slack", gone: true},
	"no_team":             {what: "the webhook's workspace doesn't exist: check the subscriber's recipient_url", gone: true},
	"team_disabled":       {what: "the webhook's workspace is not active any more", gone: true},
}

// word is the form of Slack's errors.
var word = regexp.MustCompile(`^[a-z_]{1,64}$`)

// judge says in Slack's words what the sender's outcome means. What is not known to be final is tried again.
func judge(o sdk.Outcome, recipient string) sdk.Outcome {
	if o.Code == 0 {
		return o // there was no answer
	}
	o.Excerpt = discreet(o.Excerpt, recipient)
	if o.Status == sdk.StatusDelivered {
		return o
	}
	said := errorOf(o.Excerpt)
	reason := fmt.Sprintf("%s answered %s", hostOf(recipient), strings.TrimSpace(fmt.Sprintf("%d %s", o.Code, http.StatusText(o.Code))))
	if said != "" {
		reason += " (" + said + ")"
	}
	if v, ok := final[said]; ok && o.Code < 500 && o.Code != statusTooMany {
		return sdk.Outcome{Status: sdk.StatusRejected, Code: o.Code, Reason: reason + ": " + v.what, Excerpt: o.Excerpt, Gone: v.gone}
	}
	switch {
	case o.Gone:
		reason += ": it wants no more deliveries"
	case o.Code >= 300 && o.Code < 400:
		reason += ", but redirects are not followed: check the subscriber's recipient_url"
	}
	o.Reason = reason
	return o
}

// errorOf returns the error that an answer names: its whole text, or the member error of a JSON object.
func errorOf(answer string) string {
	answer = strings.TrimSpace(answer)
	var object struct {
		Error string `json:"error"`
	}
	if json.Unmarshal([]byte(answer), &object) == nil {
		answer = object.Error
	}
	if !word.MatchString(answer) {
		return ""
	}
	return answer
}

// hostOf returns all of a webhook's URL that may be shown.
func hostOf(recipient string) string {
	u, err := url.Parse(recipient)
	if err != nil {
		return "the receiver"
	}
	return u.Host
}

// discreet takes an answer away that repeats the webhook's secret, which is the path of its URL.
func discreet(answer, recipient string) string {
	u, err := url.Parse(recipient)
	if err != nil {
		return ""
	}
	for part := range strings.SplitSeq(u.EscapedPath()+"/"+u.RawQuery, "/") {
		if len(part) >= 9 && strings.Contains(answer, part) {
			return ""
		}
	}
	return answer
}
