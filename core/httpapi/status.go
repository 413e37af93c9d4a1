package httpapi

import (
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"
)

// The two paths that anybody may ask: they tell nothing but whether the daemon works.
const (
	healthPath = "/healthz"
	readyPath  = "/readyz"
)

func (a *api) health(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, Health{Status: "alive"})
}

func (a *api) ready(w http.ResponseWriter, _ *http.Request) error {
	if reasons := a.Unready(); len(reasons) > 0 {
		return answer(w, http.StatusServiceUnavailable, Ready{Status: "not ready", Reasons: reasons})
	}
	return answer(w, http.StatusOK, Ready{Status: "ready"})
}

func (a *api) listQueues(w http.ResponseWriter, r *http.Request) error {
	depths, err := a.Queue.Depths(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, Page[Depth]{Items: each(depths, depthOf)})
}

// Limits of a connection. There is none on reading or writing as a whole: who gets that far has shown a token, and replaying many dead
// letters takes its time. Bodies have a limit of their own, Config.BodyTimeout; a stranger gets one answer, and then the connection ends.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
)

// NewServer returns a server for handler that strangers can't hold up. Its Serve or ListenAndServe, and its Shutdown, are the caller's.
func NewServer(addr string, handler http.Handler, logger hclog.Logger) *http.Server {
	return &http.Server{
		Addr:              addr,
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          logger.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn}),
	}
}
