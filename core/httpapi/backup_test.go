package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestABackupIsTheWholeDatabaseWithItsLength(t *testing.T) {
	d := newDaemon()
	got := d.do("GET", "/v1/backup", "")
	if got.Code != http.StatusOK || got.Body.String() != snapshot {
		t.Errorf("got %d %q, want 200 %q", got.Code, got.Body.String(), snapshot)
	}
	header := got.Header()
	if header.Get("Content-Length") != "21" || header.Get("Content-Type") != "application/octet-stream" ||
		!strings.HasPrefix(header.Get("Content-Disposition"), `attachment; filename="postrider-`) {
		t.Errorf("got the header %v", header)
	}
}
