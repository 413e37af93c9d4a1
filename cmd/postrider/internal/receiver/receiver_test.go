package receiver

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func post(r *Receiver, id string) int {
	request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{}`))
	if id != "" {
		request.Header.Set("webhook-id", id)
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, request)
	return w.Code
}

func TestFailsTheFirstAttemptsOfEachDeliveryByItself(t *testing.T) {
	r := New(Config{FailFirst: 2})
	var got []int
	for _, id := range []string{"a", "b", "a", "a", "b", "b"} {
		got = append(got, post(r, id))
	}
	if want := []int{500, 500, 500, 200, 500, 200}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("answers: got %v, want %v", got, want)
	}
	want := Summary{Requests: 6, Taken: 2, Failed: 4, Deliveries: 2}
	if got := r.Summary(); got != want {
		t.Errorf("summary: got %+v, want %+v", got, want)
	}
}

func TestFailsWithTheStatusItIsGiven(t *testing.T) {
	r := New(Config{FailFirst: 1, Status: 503})
	if got := post(r, "a"); got != 503 {
		t.Errorf("first attempt: got %d, want 503", got)
	}
	if got := post(r, "a"); got != 200 {
		t.Errorf("second attempt: got %d, want 200", got)
	}
	always := New(Config{Status: 418})
	for range 3 {
		if got := post(always, "a"); got != 418 {
			t.Errorf("without FailFirst: got %d, want 418", got)
		}
	}
}

func TestCountsWhatComesAgainAfterItWasTaken(t *testing.T) {
	var shown []bool
	r := New(Config{Show: func(got Received) { shown = append(shown, got.Again) }})
	for _, id := range []string{"a", "a", "", ""} {
		post(r, id)
	}
	if want := []bool{false, true, false, false}; fmt.Sprint(shown) != fmt.Sprint(want) {
		t.Errorf("duplicates: got %v, want %v", shown, want)
	}
	want := Summary{Requests: 4, Taken: 3, Duplicates: 1, Deliveries: 1}
	if got := r.Summary(); got != want {
		t.Errorf("summary: got %+v, want %+v", got, want)
	}
}

func TestARequestThatIsRefusedIsNoneOfTheDeliveryWhoseIdItBears(t *testing.T) {
	var wrong error
	r := New(Config{Verify: func(http.Header, []byte) error { return wrong }, FailFirst: 1})
	var got []int
	for _, wrong = range []error{errors.New("forged"), nil, errors.New("forged"), nil, errors.New("forged")} {
		got = append(got, post(r, "a"))
	}
	if want := []int{401, 500, 401, 200, 401}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("answers: got %v, want %v", got, want)
	}
	want := Summary{Requests: 5, Taken: 1, Failed: 4, Refused: 3, Deliveries: 1}
	if got := r.Summary(); got != want {
		t.Errorf("summary: got %+v, want %+v", got, want)
	}
}

func TestForgetsTheOldestDeliveriesInsteadOfGrowing(t *testing.T) {
	r := New(Config{})
	for i := range remembered + 10 {
		r.take(Received{ID: fmt.Sprint(i)})
	}
	if got := len(r.seen); got != remembered {
		t.Errorf("remembered: got %d ids, want %d", got, remembered)
	}
	if _, ok := r.seen["9"]; ok {
		t.Error("the tenth id is still remembered: it is among the oldest")
	}
	if _, ok := r.seen["10"]; !ok {
		t.Error("the eleventh id is forgotten: it is not among the oldest")
	}
}

func TestAnswersAfterTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{Delay: 2 * time.Second})
		started := time.Now()
		post(r, "a")
		if got := time.Since(started); got != 2*time.Second {
			t.Errorf("answered after %s, want 2s", got)
		}
	})
}
