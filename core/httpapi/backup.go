package httpapi

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// backup sends the whole database as it is at one moment. The copy is made first, so that a slow client holds up nothing but itself.
func (a *api) backup(w http.ResponseWriter, r *http.Request) error {
	snapshot, size, err := a.Backups.Snapshot(r.Context())
	if err != nil {
		return err
	}
	defer snapshot.Close()
	name := "postrider-" + time.Now().UTC().Format("20060102T150405Z") + ".db"
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	if _, err := io.Copy(w, snapshot); err != nil && r.Context().Err() == nil {
		a.Logger.Error("a backup was cut off", "error", err)
	}
	return nil
}
