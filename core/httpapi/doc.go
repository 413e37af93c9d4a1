// Package httpapi is the REST API: the daemon's own routes under /v1, and those of the system that Postrider re-implements under /rest/V1.
//
// Start reading at [New], which lists every route. The shapes of requests and answers are in wire.go, for clients too; what the API needs of the
// rest of the daemon is the interfaces of [Config].
//
// Every error is a [Problem]. All routes but /healthz and /readyz want a bearer token, and refuse before they read the body. Payloads,
// arguments and tokens are never logged.
package httpapi
