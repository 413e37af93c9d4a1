package core

import (
	"slices"
	"time"
)

const (
	// MaxTokenOverlap is how long a token that was replaced may stay valid.
	MaxTokenOverlap = 30 * 24 * time.Hour

	// MaxEarlierTokens is how many tokens that were replaced may be valid at a time: each adds a signature to every attempt.
	MaxEarlierTokens = 4
)

// EarlierToken is a verification token that was replaced. It stays valid for a while, so that the receiver has time to learn the new one.
type EarlierToken struct {
	Token   string // secret, never shown, never logged
	Expires time.Time
}

// ReplaceToken makes token the subscriber's verification token, as of now. The one before it stays valid for overlap, and none of those before that
// any longer: an overlap of 0 ends them all at once. The error is a [*Invalid].
func (s *Subscriber) ReplaceToken(token string, overlap time.Duration, now time.Time) error {
	switch {
	case token == "":
		return Invalidf("token", "the new token is empty: give one")
	case token == s.Token:
		return Invalidf("token", "the new token is the one that the subscriber has already: give another")
	case overlap < 0 || overlap > MaxTokenOverlap:
		return Invalidf("overlap", "an overlap of %v is not possible: it is from 0s to %v", overlap, MaxTokenOverlap)
	}
	latest := now.Add(overlap).Truncate(time.Millisecond).UTC()
	earlier := slices.Clone(s.Earlier)
	if s.Token != "" {
		earlier = slices.Insert(earlier, 0, EarlierToken{Token: s.Token, Expires: latest})
	}
	for i := range earlier {
		if earlier[i].Expires.After(latest) {
			earlier[i].Expires = latest
		}
	}
	earlier = slices.DeleteFunc(earlier, func(e EarlierToken) bool { return !now.Before(e.Expires) || e.Token == token })
	if len(earlier) > MaxEarlierTokens {
		return Invalidf("overlap", "%d earlier tokens are still valid, and there can't be more: wait until %s, or end them all with an overlap of 0s",
			MaxEarlierTokens, earlier[len(earlier)-1].Expires.Format(time.RFC3339))
	}
	s.Token, s.Earlier = token, slices.Clip(earlier)
	if len(earlier) == 0 {
		s.Earlier = nil
	}
	return nil
}

// EarlierTokens returns the replaced tokens that are valid at now, newest first.
func (s *Subscriber) EarlierTokens(now time.Time) []string {
	var valid []string
	for _, e := range s.Earlier {
		if now.Before(e.Expires) {
			valid = append(valid, e.Token)
		}
	}
	return valid
}
