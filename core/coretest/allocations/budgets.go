package allocations

// budget is what one event allocates at a seam.
type budget struct {
	usual  float64
	margin float64 // for what depends on how many events meet: less than one where nothing does
}

// budgets has every seam of the hot path, in the order in which an event meets them.
func budgets() map[string]budget {
	return map[string]budget{
		"httpapi: POST /v1/events":  {7, 0.5}, // reading the event is part of it
		"eventjson: read an event":  {2, 0.5},
		"rabbitmq: read a trigger":  {6, 0.5},
		"bolt: publish an event":    {39, 1.4}, // pages and lists are each commit's, which 64 publishers share
		"bolt: publish and consume": {70, 5},   // how often the file is written and grows in between varies
		"bolt: match subscribers":   {0, 0},
		"dispatch: an event":        {14, 0.5},   // with one subscriber, whose attempt its consumer makes; one is the trace context's text
		"dispatch: a delivery":      {9, 0.5},    // that waited; as above
		"pluginhost: notify":        {1, 0.5},    // the context that the trace context travels in
		"host: a delivery":          {6, 0.9},    // at the daemon's end; what meets on a stream is flushed together
		"sdk: a delivery":           {20.5, 1.4}, // at both ends; one is the trace context's
		"post: a POST":              {42, 0.9},   // and its receiver, in the same process, whose net/http has some 20 of them
	}
}
