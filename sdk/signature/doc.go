// Package signature signs deliveries, and verifies them: Standard Webhooks (https://www.standardwebhooks.com) with HMAC-SHA256 or ed25519, and the
// ways of Magento, GitHub and Stripe.
//
// A notifier signs, with the subscriber's token and those that were replaced a while ago:
//
//	key, err := signature.Standard.Key(d.Token)
//	…
//	header.Set(signature.Standard.Names().Signature, signed)
//
// A receiver verifies, with the same token, before it believes anything:
//
//	err := signature.Verifier{Scheme: signature.Standard, Keys: []signature.Key{key}}.Verify(r.Header, body, time.Now())
//
// Start reading at scheme.go. It belongs to the SDK, and not to the notifier that signs, because both ends need it: notifiers that others write,
// receivers in Go, and `postrider listen`, which says why a signature doesn't match. It stands on the standard library alone.
//
// No error and no text of this package holds a key or a part of one; signatures are compared in constant time.
package signature
