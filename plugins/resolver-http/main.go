// Resolver-http is the plugin "http-api": it makes payloads of what Web APIs answer, as its configuration says, without a line of Go.
//
//	configuration.go  what operators write, and how it becomes APIs and services
//	arguments.go      the JSON Schema of a service's arguments
//	template.go       texts with {arguments} in them
//	request.go        the request that a service makes of its arguments: each value is escaped for where it stands
//	api.go            sends requests, and says what became of them; auth.go is who sends them
//	result.go         the part of an answer that becomes the payload
//
// Nothing is cached, and no request is conditional: the payload is what the API says now. What may be dialled, and how long an answer may take, is
// the SDK's HTTP client's affair.
package main

import "github.com/postrider/postrider/sdk"

const version = "1.0.0"

func main() {
	sdk.ServeResolver("http-api", version, sdk.ConfigureServices(services))
}
