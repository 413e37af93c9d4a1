package httpapi

import (
	"net/http"

	"github.com/postrider/postrider/core"
)

func (a *api) listDeliveries(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r, "event_id", "event", "subscriber", "state", "limit", "cursor")
	filter := core.DeliveryFilter{
		Event:      core.EventID(q.text("event_id")),
		EventName:  q.text("event"),
		Subscriber: core.SubscriberID(q.number("subscriber")),
		Limit:      q.limit(),
		Cursor:     q.text("cursor"),
	}
	if word := q.text("state"); word != "" && q.err == nil {
		filter.State, q.err = core.ParseDeliveryState(word)
	}
	if q.err != nil {
		return q.err
	}
	deliveries, next, err := a.Log.Deliveries(r.Context(), filter)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, Page[Delivery]{Items: each(deliveries, deliveryOf), Next: next})
}

func (a *api) delivery(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	delivery, err := a.Log.Delivery(r.Context(), core.DeliveryID(id))
	if err != nil {
		return noDelivery(id, err)
	}
	return answer(w, http.StatusOK, deliveryOf(delivery))
}

func (a *api) replayDelivery(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err := a.Replayer.ReplayDelivery(r.Context(), core.DeliveryID(id)); err != nil {
		return noDelivery(id, err)
	}
	return answer(w, http.StatusAccepted, Replayed{Replayed: []string{id}})
}

func noDelivery(id string, err error) error {
	return notFoundAs(err, "there is no delivery %q, or it is older than the log goes back; `postrider delivery list` shows them", id)
}
