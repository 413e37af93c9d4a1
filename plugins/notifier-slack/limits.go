package main

import (
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Slack's limits, in characters where nothing else is said (https://docs.slack.dev/reference/block-kit/blocks, .../block-elements). What is too long
// is shortened, as a message that says less is better than none.
const (
	maxText           = 40_000 // of a message
	maxBlocks         = 50     // in a message
	maxObject         = 3_000  // of a text object, where nothing narrower holds
	maxSection        = 3_000
	maxFields         = 10 // in a section
	maxField          = 2_000
	maxHeader         = 150
	maxContext        = 10 // elements in a context
	maxActions        = 25 // elements in a row of actions
	maxButton         = 75
	maxValue          = 2_000 // of a button
	maxAlternative    = 2_000 // of an image
	maxTitle          = 2_000 // of an image
	maxMarkdown       = 12_000
	maxLabel          = 75 // of an option, an accessibility label
	maxConfirmation   = 300
	maxConfirmTitle   = 100
	maxConfirmButtons = 30
)

// fitBlocks shortens blocks to what Slack takes, and leaves out what would be empty, which Slack refuses.
func fitBlocks(blocks []any) []any {
	var fitting []any
	markdown := maxMarkdown // of all such blocks together
	for _, b := range blocks {
		block, ok := b.(map[string]any)
		if !ok {
			continue
		}
		if block["type"] == "markdown" {
			fitString(block, "text", markdown)
			s, _ := block["text"].(string)
			markdown -= length(s)
		}
		if fitBlock(block) {
			fitting = append(fitting, block)
		}
	}
	return fitting[:min(len(fitting), maxBlocks)]
}

// fitBlock shortens one block, and reports whether anything is left of it.
func fitBlock(block map[string]any) bool {
	switch block["type"] {
	case "section":
		fitObject(block, "text", maxSection)
		fitList(block, "fields", maxFields, func(field map[string]any) bool { return fitText(field, maxField) })
		if accessory, ok := block["accessory"].(map[string]any); ok {
			fitElement(accessory)
		}
		return block["text"] != nil || block["fields"] != nil
	case "header":
		fitObject(block, "text", maxHeader)
		return block["text"] != nil
	case "context":
		fitList(block, "elements", maxContext, fitElement)
		return block["elements"] != nil
	case "actions":
		fitList(block, "elements", maxActions, fitElement)
		return block["elements"] != nil
	case "image":
		fitElement(block)
		fitObject(block, "title", maxTitle)
	case "markdown":
		return block["text"] != ""
	}
	return true
}

// fitElement shortens an element of a block, and reports whether anything is left of it.
func fitElement(element map[string]any) bool {
	switch element["type"] {
	case "plain_text", "mrkdwn":
		return fitText(element, maxObject)
	case "image":
		fitString(element, "alt_text", maxAlternative)
	case "button":
		fitObject(element, "text", maxButton)
		fitString(element, "value", maxValue)
		fitString(element, "accessibility_label", maxLabel)
		if confirm, ok := element["confirm"].(map[string]any); ok {
			fitObject(confirm, "title", maxConfirmTitle)
			fitObject(confirm, "text", maxConfirmation)
			fitObject(confirm, "confirm", maxConfirmButtons)
			fitObject(confirm, "deny", maxConfirmButtons)
		}
		return element["text"] != nil
	}
	return true
}

// fitObject shortens the text object under a key, and takes it away if it is empty.
func fitObject(in map[string]any, key string, limit int) {
	if object, ok := in[key].(map[string]any); ok && !fitText(object, limit) {
		delete(in, key)
	}
}

// fitText shortens a text object, and reports whether anything is left of it.
func fitText(object map[string]any, limit int) bool {
	fitString(object, "text", limit)
	s, ok := object["text"].(string)
	return !ok || strings.TrimSpace(s) != ""
}

func fitString(in map[string]any, key string, limit int) {
	if s, ok := in[key].(string); ok {
		in[key] = clip(s, limit)
	}
}

// fitList shortens a list, and each of its items by fit, which reports whether the item stays. A list without items is taken away.
func fitList(in map[string]any, key string, limit int, fit func(map[string]any) bool) {
	list, ok := in[key].([]any)
	if !ok {
		return
	}
	list = slices.DeleteFunc(slices.Clone(list), func(item any) bool {
		object, ok := item.(map[string]any)
		return ok && !fit(object)
	})
	if len(list) == 0 {
		delete(in, key)
		return
	}
	in[key] = list[:min(len(list), limit)]
}

// length is that of a text as Slack may count it: in UTF-16, where most characters are one, and no way of counting finds more.
func length(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

// clip shortens a text to limit characters, the last of which says so. It neither cuts through an entity (&amp;) or a link (<…|…>), nor leaves a block
// of code open.
func clip(s string, limit int) string {
	if len(s) <= limit || length(s) <= limit {
		return s
	}
	if limit < 1 {
		return ""
	}
	const more, fence = "…", "```"
	cut := cutAt(s, limit-1)
	if strings.Count(cut, fence)%2 == 0 {
		return cut + more
	}
	if cut = cutAt(s, limit-1-len(fence)); strings.Count(cut, fence)%2 == 0 {
		return cut + more // it was the beginning of a block that went
	}
	return cut + more + fence
}

// cutAt returns the longest beginning of s that has at most limit characters and ends where it may.
func cutAt(s string, limit int) string {
	end := 0
	for n := 0; end < len(s); {
		r, size := utf8.DecodeRuneInString(s[end:])
		if n += utf16.RuneLen(r); n > limit {
			break
		}
		end += size
	}
	cut := s[:end]
	if open := strings.LastIndexByte(cut, '<'); open > strings.LastIndexByte(cut, '>') {
		cut = cut[:open]
	}
	for _, entity := range []string{"&amp;", "&lt;", "&gt;"} {
		if and := strings.LastIndexByte(cut, '&'); and >= 0 && and > len(cut)-len(entity) && strings.HasPrefix(s[and:], entity) {
			cut = cut[:and]
		}
	}
	return strings.TrimRight(cut, "`") // a part of a fence is none
}
