// Package eventjson reads events as publishers write them, over HTTP and over AMQP alike: [Read] for one of them, [Elements] for a batch.
package eventjson
