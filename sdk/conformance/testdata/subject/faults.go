package main

// fault is the rule that a subject breaks; "": none.
type fault string

const (
	noisy       fault = "noisy"       // prints something before its handshake
	unversioned fault = "unversioned" // has no version
	fickle      fault = "fickle"      // describes itself differently each time
	schemaless  fault = "schemaless"  // describes a schema that is none of an object
	doubled     fault = "doubled"     // offers a service twice
	idle        fault = "idle"        // offers no service
	open        fault = "open"        // lets anybody in
	eager       fault = "eager"       // works without a configuration
	gullible    fault = "gullible"    // takes any configuration
	nameless    fault = "nameless"    // refuses a configuration without naming the key
	abrupt      fault = "abrupt"      // refuses a configuration by an error of the call
	offended    fault = "offended"    // takes no configuration after a refused one
	ill         fault = "ill"         // says that it can't work
	garbled     fault = "garbled"     // answers what is no JSON, or has no status
	speechless  fault = "speechless"  // fails without a word
	careless    fault = "careless"    // takes any arguments, or settings
	vague       fault = "vague"       // refuses arguments, or settings, as if trying again could help
	pretending  fault = "pretending"  // takes calls of services that it doesn't offer
	roaming     fault = "roaming"     // reaches whatever it is told to
	stuttering  fault = "stuttering"  // answers twice
	rounding    fault = "rounding"    // keeps ids in a float64
	forgetful   fault = "forgetful"   // answers only the first request of a message
	strict      fault = "strict"      // refuses fields that it doesn't know
	nervous     fault = "nervous"     // dies of a cancellation of nothing
	fragile     fault = "fragile"     // dies of arguments, or a payload, that it can't read
	small       fault = "small"       // keeps gRPC's limit for messages
	deaf        fault = "deaf"        // doesn't notice cancellations
	sulking     fault = "sulking"     // doesn't answer what is cancelled
	timeless    fault = "timeless"    // doesn't notice that its time is over
	serial      fault = "serial"      // works on one request at a time
	immortal    fault = "immortal"    // ignores SIGTERM
)
