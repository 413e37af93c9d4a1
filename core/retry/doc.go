// Package retry says when a failed attempt is tried again.
//
// A [Schedule] is a list of delays: the first between the first attempt and the first retry, and so on; when the list is used up, so is the
// budget. There are three kinds, written in JSON as operators and subscribers write them:
//
//	{"schedule": "quadratic", "max_retries": 5}                                          1, 4, 9, 16, 25 s: the default
//	{"schedule": "exponential", "first": "5s", "factor": 2, "max": "1h", "max_retries": 10}
//	["5s", "5m", "30m"]                                                                  or {"schedule": ["5s", "5m", "30m"]}
//
// To any of them (the bare list excepted) "jitter": 0.1 may be added, which lengthens every delay by a random part of up to a tenth, so that
// what failed together does not come back together. It never shortens one.
//
// The package imports the standard library only.
package retry
