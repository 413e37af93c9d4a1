// Package eventjson reads events as publishers write them, over HTTP and over AMQP alike: [Read] for one of them, [ReadBatch] for an array. What they
// read need not be JSON: the walk that finds an event's members checks the text on its way, each byte once.
package eventjson
