package httpapi

import (
	"net/http"
	"time"

	"github.com/postrider/postrider/core"
)

// defaultOverlap is how long the token before stays valid where a rotation doesn't say.
const defaultOverlap = 24 * time.Hour

// rotateSecret gives a subscriber a new token, and leaves its receiver time to learn it.
func (a *api) rotateSecret(w http.ResponseWriter, r *http.Request) error {
	s, err := a.subscriberAt(r)
	if err != nil {
		return err
	}
	var rotation RotateSecret
	if err := a.decode(w, r, &rotation); err != nil {
		return err
	}
	overlap := defaultOverlap
	if rotation.Overlap != "" {
		if overlap, err = time.ParseDuration(rotation.Overlap); err != nil {
			return core.Invalidf("overlap", "the overlap %q is no time: write it as \"24h\", or \"0s\" for none", rotation.Overlap)
		}
	}
	changed, err := a.Subscribers.UpdateSubscriber(r.Context(), s.ID, func(s *core.Subscriber) error {
		return s.ReplaceToken(rotation.Token, overlap, time.Now())
	})
	if err != nil {
		return noSubscriber(s.ID.String(), err)
	}
	return answer(w, http.StatusOK, a.subscriberOf(changed))
}
