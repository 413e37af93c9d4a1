package signature_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postrider/postrider/sdk/signature"
)

const (
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // of the examples of Standard Webhooks
	raw    = "fv38u07Wdh$R@mRd"
)

var (
	start   = time.Unix(1614265330, 0)
	message = signature.Message{ID: "msg_p5jXN8AQM9LWM0D4loKWxJek", Time: start, Body: []byte(`{"test": 2432232314}`)}
)

func keyOf(t *testing.T, s signature.Scheme, token string) signature.Key {
	t.Helper()
	key, err := s.Key(token)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sent returns the header of a message that is signed with tokens, newest first.
func sent(t *testing.T, s signature.Scheme, m signature.Message, tokens ...string) http.Header {
	t.Helper()
	var keys []signature.Key
	for _, token := range tokens {
		keys = append(keys, keyOf(t, s, token))
	}
	value, err := s.Sign(m, keys...)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{}
	header.Set("webhook-id", m.ID)
	header.Set("webhook-timestamp", strconv.FormatInt(m.Time.Unix(), 10))
	header.Set(s.Names().Signature, value)
	return header
}

func verifier(t *testing.T, s signature.Scheme, tokens ...string) signature.Verifier {
	t.Helper()
	v := signature.Verifier{Scheme: s}
	for _, token := range tokens {
		v.Keys = append(v.Keys, keyOf(t, s, token))
	}
	return v
}

func TestSignsAsPublishedExamplesDo(t *testing.T) {
	for _, test := range []struct {
		scheme signature.Scheme
		token  string
		body   string
		want   string
	}{
		// https://docs.svix.com/receiving/verifying-payloads/how-manual
		{signature.Standard, secret, `{"test": 2432232314}`, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
		// https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
		{signature.GitHub, "It's a Secret to Everybody", "Hello, World!", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
		// RFC 4231, test case 2
		{signature.Magento, "Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
	} {
		m := message
		m.Body = []byte(test.body)
		if got, err := test.scheme.Sign(m, keyOf(t, test.scheme, test.token)); got != test.want || err != nil {
			t.Errorf("%s: got %q and %v, want %q", test.scheme, got, err, test.want)
		}
	}
}

func TestTheStandardLibraryVerifiesWhatIsSignedAndSignsWhatIsVerified(t *testing.T) {
	byText, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	byBytes, err := standardwebhooks.NewWebhookRaw([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	m := message
	m.Time = time.Now()
	for token, library := range map[string]*standardwebhooks.Webhook{secret: byText, raw: byBytes} {
		if err := library.Verify(m.Body, sent(t, signature.Standard, m, token)); err != nil {
			t.Errorf("the library refuses our signature: %v", err)
		}
		if err := library.Verify(m.Body, sent(t, signature.Standard, m, signature.NewSecret(), token)); err != nil {
			t.Errorf("the library refuses it during a rotation: %v", err)
		}
		header := sent(t, signature.Standard, m, token)
		theirs, err := library.Sign(m.ID, m.Time, m.Body)
		if err != nil {
			t.Fatal(err)
		}
		header.Set("webhook-signature", theirs)
		if err := verifier(t, signature.Standard, token).Verify(header, m.Body, time.Now()); err != nil {
			t.Errorf("we refuse the library's signature: %v", err)
		}
	}
}

func TestWhatIsSignedIsVerifiedByEachScheme(t *testing.T) {
	for _, s := range signature.Schemes() {
		for _, token := range []string{secret, raw, signature.NewSecret()} {
			header := sent(t, s, message, token)
			if err := verifier(t, s, token).Verify(header, message.Body, start); err != nil {
				t.Errorf("%s: %v", s, err)
			}
			if err := verifier(t, s, "another", token).Verify(header, message.Body, start); err != nil {
				t.Errorf("%s, with two keys that it may be: %v", s, err)
			}
			if err := verifier(t, s, "another").Verify(header, message.Body, start); err == nil {
				t.Errorf("%s: another secret verifies it", s)
			}
		}
	}
}

func TestEd25519IsVerifiedWithThePublicHalf(t *testing.T) {
	private := signature.NewEd25519()
	public := keyOf(t, signature.Standard, private).Public()
	header := sent(t, signature.Standard, message, private)
	if got := header.Get("webhook-signature"); !strings.HasPrefix(got, "v1a,") {
		t.Errorf("got %q, want v1a", got)
	}
	for _, token := range []string{private, public} {
		if err := verifier(t, signature.Standard, token).Verify(header, message.Body, start); err != nil {
			t.Error(err)
		}
	}
	seed, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(private, "whsk_"))
	if err != nil {
		t.Fatal(err)
	}
	if short := "whsk_" + base64.StdEncoding.EncodeToString(seed[:32]); keyOf(t, signature.Standard, short).Public() != public {
		t.Error("a seed alone is another key than with its public half")
	}
	if err := verifier(t, signature.Standard, signature.NewEd25519()).Verify(header, message.Body, start); err == nil {
		t.Error("another key verifies it")
	}
	if _, err := signature.Standard.Sign(message, keyOf(t, signature.Standard, public)); err == nil || !strings.Contains(err.Error(), "can't sign") {
		t.Errorf("a public key: got %v, want it refused for signing", err)
	}
	if keyOf(t, signature.Standard, secret).Public() != "" {
		t.Error("a secret has a public half")
	}
}

func TestDuringARotationBothSecretsVerifyWhereTheSchemeHasRoom(t *testing.T) {
	for _, s := range signature.Schemes() {
		header := sent(t, s, message, "new", "old")
		oldErr := verifier(t, s, "old").Verify(header, message.Body, start)
		newErr := verifier(t, s, "new").Verify(header, message.Body, start)
		if oldErr != nil || (newErr == nil) != s.Several() {
			t.Errorf("%s: by the old one %v, by the new one %v; several: %v", s, oldErr, newErr, s.Several())
		}
	}
	mixed := sent(t, signature.Standard, message, signature.NewEd25519(), raw)
	if err := verifier(t, signature.Standard, raw).Verify(mixed, message.Body, start); err != nil {
		t.Errorf("from a secret to a key pair: %v", err)
	}
}

func TestAStripeSecretSignsAsTextAndAsWhatItStandsFor(t *testing.T) {
	header := sent(t, signature.Stripe, message, secret)
	if got := strings.Count(header.Get("Stripe-Signature"), "v1="); got != 2 {
		t.Errorf("got %d signatures in %q, want 2", got, header.Get("Stripe-Signature"))
	}
	if header := sent(t, signature.Stripe, message, "whsec_this is not base64"); strings.Count(header.Get("Stripe-Signature"), "v1=") != 1 {
		t.Errorf("a secret that is not base64: got %q, want 1 signature", header.Get("Stripe-Signature"))
	}
}

func TestAMismatchIsExplained(t *testing.T) {
	good := func(s signature.Scheme, tokens ...string) func(*testing.T) http.Header {
		return func(t *testing.T) http.Header { return sent(t, s, message, tokens...) }
	}
	without := func(name string) func(*testing.T) http.Header {
		return func(t *testing.T) http.Header {
			header := sent(t, signature.Standard, message, secret)
			header.Del(name)
			return header
		}
	}
	with := func(s signature.Scheme, name, value string) func(*testing.T) http.Header {
		return func(t *testing.T) http.Header {
			header := sent(t, s, message, secret)
			header.Set(name, value)
			return header
		}
	}
	body := string(message.Body)
	for _, test := range []struct {
		name   string
		scheme signature.Scheme
		header func(*testing.T) http.Header
		body   string
		after  time.Duration
		token  string
		cause  signature.Cause
		want   string
	}{
		{"no signature", signature.Standard, without("webhook-signature"), body, 0, secret, signature.Header, "there is no webhook-signature"},
		{"no id", signature.Standard, without("webhook-id"), body, 0, secret, signature.Header, "there is no webhook-id"},
		{"no timestamp", signature.Standard, without("webhook-timestamp"), body, 0, secret, signature.Header, "there is no webhook-timestamp"},
		{"another scheme", signature.Standard, good(signature.GitHub, secret), body, 0, secret, signature.Header, "by the scheme github"},
		{"nothing of its form", signature.Standard, with(signature.Standard, "webhook-signature", "v9,AAAA x"), body, 0, secret, signature.Header, "nothing of the form v1,"},
		{"no digits", signature.GitHub, with(signature.GitHub, "x-hub-signature-256", "sha256=xyz"), body, 0, secret, signature.Header, "sha256=<64"},
		{"an odd time", signature.Standard, with(signature.Standard, "webhook-timestamp", "noon"), body, 0, secret, signature.Header, "seconds since 1970"},
		{"no time", signature.Stripe, with(signature.Stripe, "stripe-signature", "v1=00"), body, 0, secret, signature.Header, "t= in stripe-signature"},
		{"old", signature.Standard, good(signature.Standard, secret), body, 5*time.Minute + time.Second, secret, signature.Clock, "5m1s old"},
		{"of the future", signature.Stripe, good(signature.Stripe, secret), body, -time.Hour, secret, signature.Clock, "behind the sender's"},
		{"another secret", signature.Standard, good(signature.Standard, "other"), body, 0, secret, signature.Wrong, "secret is another"},
		{"another body", signature.Magento, good(signature.Magento, secret), `{"test": 1}`, 0, secret, signature.Wrong, "the body was changed"},
		{"another id", signature.Standard, with(signature.Standard, "webhook-id", "msg_2"), body, 0, secret, signature.Wrong, "its id or timestamp"},
		{"a line end more", signature.Magento, good(signature.Magento, secret), body + "\r\n", 0, secret, signature.Body, "without the white space around it"},
		{"base64 as text", signature.Standard, func(t *testing.T) http.Header {
			return signedWith(t, []byte(secret))
		}, body, 0, secret, signature.Form, "as text, whsec_ and all"},
		{"text as base64", signature.Standard, good(signature.Standard, secret), body, 0, strings.TrimPrefix(secret, "whsec_"), signature.Form, "write whsec_ before it"},
		{"a line end in the secret", signature.GitHub, good(signature.GitHub, raw), body, 0, raw + "\n", signature.Form, "white space"},
		{"a secret for ed25519", signature.Standard, good(signature.Standard, signature.NewEd25519()), body, 0, secret, signature.Form, "whpk_"},
		{"ed25519 for a secret", signature.Standard, good(signature.Standard, secret), body, 0, signature.NewEd25519(), signature.Form, "shared secret"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := verifier(t, test.scheme, test.token).Verify(test.header(t), []byte(test.body), start.Add(test.after))
			mismatch, ok := err.(*signature.Mismatch)
			if !ok || mismatch.Cause != test.cause || !strings.Contains(mismatch.What, test.want) {
				t.Fatalf("got %#v, want the cause %q and %q", err, test.cause, test.want)
			}
			for _, hidden := range []string{secret, raw, strings.TrimPrefix(secret, "whsec_")} {
				if strings.Contains(mismatch.What, hidden) {
					t.Errorf("%q shows the secret", mismatch.What)
				}
			}
		})
	}
}

// signedWith is signed with other bytes than those that the token stands for.
func signedWith(t *testing.T, key []byte) http.Header {
	t.Helper()
	library, err := standardwebhooks.NewWebhookRaw(key)
	if err != nil {
		t.Fatal(err)
	}
	value, err := library.Sign(message.ID, message.Time, message.Body)
	if err != nil {
		t.Fatal(err)
	}
	header := sent(t, signature.Standard, message, secret)
	header.Set("webhook-signature", value)
	return header
}

func TestABodyThatWasRewrittenIsFoundOut(t *testing.T) {
	m := message
	m.Body = []byte(`{"url":"https://x/?a=1&b=<2>","list":[1,2]}`)
	header := sent(t, signature.Standard, m, secret)
	for _, body := range []string{
		"{\n  \"url\": \"https://x/?a=1&b=<2>\",\n  \"list\": [1, 2]\n}",
		`{"url":"https:\/\/x\/?a=1&b=<2>","list":[1,2]}`,
		`{"url":"https://x/?a=1\u0026b=\u003c2\u003e","list":[1,2]}`,
	} {
		err := verifier(t, signature.Standard, secret).Verify(header, []byte(body), start)
		if mismatch, ok := err.(*signature.Mismatch); !ok || mismatch.Cause != signature.Body {
			t.Errorf("%s: got %v, want it said that the body was changed", body, err)
		}
	}
}

func TestFieldsMayHaveOtherNames(t *testing.T) {
	header := http.Header{}
	value, err := signature.Standard.Sign(message, keyOf(t, signature.Standard, secret))
	if err != nil {
		t.Fatal(err)
	}
	header.Set("svix-id", message.ID)
	header.Set("svix-timestamp", strconv.FormatInt(start.Unix(), 10))
	header.Set("svix-signature", value)
	v := verifier(t, signature.Standard, secret)
	v.Names = signature.Names{Signature: "svix-signature", ID: "SVIX-ID", Timestamp: "svix-timestamp"}
	if err := v.Verify(header, message.Body, start); err != nil {
		t.Error(err)
	}
}

func TestATokenThatIsNoneIsRefusedWithoutShowingIt(t *testing.T) {
	for _, test := range []struct {
		scheme signature.Scheme
		token  string
		want   string
	}{
		{"sha1", raw, "standard, magento, github or stripe"},
		{signature.Standard, "", "empty"},
		{signature.Standard, "whsec_", "nothing more"},
		{signature.Standard, "whsec_hidden!", "not base64"},
		{signature.Standard, "whsk_hidden!", "not base64"},
		{signature.Standard, "whsk_aGlkZGVu", "6 bytes"},
		{signature.Standard, "whpk_aGlkZGVu", "6 bytes"},
		{signature.Standard, "whsk_" + base64.StdEncoding.EncodeToString(make([]byte, 64)), "doesn't belong"},
		{signature.Magento, signature.NewEd25519(), "scheme standard"},
	} {
		_, err := test.scheme.Key(test.token)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), "aGlkZGVu") {
			t.Errorf("%s: got %v, want an error with %q", test.scheme, err, test.want)
		}
	}
}

func TestAKeyIsNotPrinted(t *testing.T) {
	key := keyOf(t, signature.Standard, raw)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		if got := fmt.Sprintf(verb, key); strings.Contains(got, raw) || strings.Contains(got, "102 118") {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("v1,AAAA v1a,BBBB", "1", "id", []byte("{}"))
	f.Add("t=1,v1=00", "", "", []byte(nil))
	key, err := signature.Standard.Key(secret)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value, stamp, id string, body []byte) {
		for _, s := range signature.Schemes() {
			header := http.Header{}
			header.Set("webhook-id", id)
			header.Set("webhook-timestamp", stamp)
			header.Set(s.Names().Signature, value)
			if (signature.Verifier{Scheme: s, Keys: []signature.Key{key}}).Verify(header, body, start) == nil {
				t.Errorf("%s: verified without the secret", s)
			}
		}
	})
}

// FuzzSign signs whatever with whatever token: what was sent verifies; with another body, token or time it doesn't.
func FuzzSign(f *testing.F) {
	f.Fuzz(func(t *testing.T, token, otherToken, id string, seconds int64, body, otherBody []byte) {
		for _, s := range signature.Schemes() {
			key, err := s.Key(token)
			if err != nil {
				continue
			}
			m := signature.Message{ID: id, Time: time.Unix(seconds, 0), Body: body}
			value, err := s.Sign(m, key)
			if err != nil {
				continue // a public key
			}
			header := http.Header{}
			header.Set("webhook-id", id)
			header.Set("webhook-timestamp", strconv.FormatInt(seconds, 10))
			header.Set(s.Names().Signature, value)
			verify := func(header http.Header, key signature.Key, body []byte) error {
				return signature.Verifier{Scheme: s, Keys: []signature.Key{key}}.Verify(header, body, m.Time)
			}
			if err := verify(header, key, body); err != nil && (id != "" || s != signature.Standard) {
				t.Fatalf("%s: what was signed does not verify: %v", s, err)
			}
			if string(otherBody) != string(body) && verify(header, key, otherBody) == nil {
				t.Errorf("%s: %q verified with the signature of %q", s, otherBody, body)
			}
			if other, err := s.Key(otherToken); err == nil && differ(token, otherToken) && verify(header, other, body) == nil {
				t.Errorf("%s: signed by %q, verified by %q", s, token, otherToken)
			}
			if s != signature.Standard {
				continue
			}
			later := header.Clone()
			later.Set("webhook-timestamp", strconv.FormatInt(seconds^1, 10))
			if verify(later, key, body) == nil {
				t.Errorf("%s: verified with another time", s)
			}
		}
	})
}

// differ reports whether two tokens are different keys for certain: the same bytes may be written in base64 or as they are, and HMAC (RFC 2104) fills a
// short key up with zeros, and hashes one over 64 bytes.
func differ(a, b string) bool {
	plain := func(token string) bool {
		return len(token) <= 64 && !strings.HasPrefix(token, "wh") && !strings.HasSuffix(token, "\x00")
	}
	return plain(a) && plain(b) && a != b
}
