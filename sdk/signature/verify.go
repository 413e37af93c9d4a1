package signature

import (
	"crypto/ed25519"
	"crypto/hmac"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// DefaultTolerance is how far a timestamp may be from the receiver's own clock, in both directions, as Standard Webhooks recommends.
const DefaultTolerance = 5 * time.Minute

// Verifier verifies what a receiver gets.
type Verifier struct {
	Scheme    Scheme
	Keys      []Key         // any of them will do: during a rotation there are two
	Names     Names         // zero: the scheme's own
	Tolerance time.Duration // 0: DefaultTolerance
}

// Verify returns nil where the body is signed by one of the keys, and not long ago. The error is a [*Mismatch], which says what may be the reason; a
// receiver keeps it to itself, and answers 401.
func (v Verifier) Verify(header http.Header, body []byte, now time.Time) error {
	names := v.Names.or(v.Scheme.Names())
	found, mismatch := v.Scheme.read(header, names)
	if mismatch != nil {
		return mismatch
	}
	c := content{found.id, found.stamp, body}
	if !v.Scheme.match(v.Keys, found, c) {
		return v.diagnose(found, c)
	}
	if found.stamp == "" {
		return nil
	}
	return v.checkClock(found, now)
}

func (v Verifier) checkClock(found signatures, now time.Time) error {
	tolerance := v.Tolerance
	if tolerance == 0 {
		tolerance = DefaultTolerance
	}
	age := now.Sub(found.time)
	switch {
	case age > tolerance:
		return &Mismatch{Clock, fmt.Sprintf("the signature is right, but %v old, and %v is what is taken: either this clock is ahead of the sender's,"+
			" or somebody sends an old delivery again", age.Round(time.Second), tolerance)}
	case age < -tolerance:
		return &Mismatch{Clock, fmt.Sprintf("the signature is right, but from %v in the future, and %v is what is taken: this clock is behind the sender's",
			-age.Round(time.Second), tolerance)}
	}
	return nil
}

// signatures is what the header says.
type signatures struct {
	id, stamp string
	time      time.Time
	hmac      [][]byte
	ed25519   [][]byte
}

// read takes the scheme's part out of the header.
func (s Scheme) read(header http.Header, names Names) (signatures, *Mismatch) {
	value := header.Get(names.Signature)
	if value == "" {
		return signatures{}, s.missing(header, names.Signature)
	}
	var found signatures
	switch s {
	case Standard:
		found.id, found.stamp = header.Get(names.ID), header.Get(names.Timestamp)
		if found.id == "" {
			return found, s.missing(header, names.ID)
		}
		if found.stamp == "" {
			return found, s.missing(header, names.Timestamp)
		}
		found.readStandard(value)
	case Magento:
		found.add(value)
	case GitHub:
		digits, _ := strings.CutPrefix(value, "sha256=")
		found.add(digits)
	case Stripe:
		found.readStripe(value)
	}
	if len(found.hmac)+len(found.ed25519) == 0 {
		return found, &Mismatch{Header, fmt.Sprintf("%s holds nothing of the form %s", shown(names.Signature), s.form())}
	}
	if found.stamp == "" && s != Stripe {
		return found, nil
	}
	seconds, err := strconv.ParseInt(found.stamp, 10, 64)
	if err != nil {
		where := shown(names.Timestamp)
		if s == Stripe {
			where = "t= in " + shown(names.Signature)
		}
		return found, &Mismatch{Header, fmt.Sprintf("%s is %.40q: it must be seconds since 1970", where, found.stamp)}
	}
	found.time = time.Unix(seconds, 0)
	return found, nil
}

// form shows how a signature of the scheme is written.
func (s Scheme) form() string {
	switch s {
	case Standard:
		return "v1,<base64> or v1a,<base64>"
	case GitHub:
		return "sha256=<64 hexadecimal digits>"
	case Stripe:
		return "t=<seconds>,v1=<64 hexadecimal digits>"
	}
	return "<64 hexadecimal digits>"
}

func (f *signatures) readStandard(value string) {
	for part := range strings.FieldsSeq(value) {
		version, encoded, _ := strings.Cut(part, ",")
		raw, err := base64.StdEncoding.DecodeString(encoded)
		switch {
		case err != nil: // of a version to come, perhaps
		case version == "v1":
			f.hmac = append(f.hmac, raw)
		case version == "v1a":
			f.ed25519 = append(f.ed25519, raw)
		}
	}
}

func (f *signatures) readStripe(value string) {
	for part := range strings.SplitSeq(value, ",") {
		switch name, content, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "t":
			f.stamp = content
		case "v1":
			f.add(content)
		}
	}
}

// add takes a signature in hexadecimal digits.
func (f *signatures) add(digits string) {
	if raw, err := hex.DecodeString(strings.TrimSpace(digits)); err == nil && len(raw) > 0 {
		f.hmac = append(f.hmac, raw)
	}
}

// match reports whether one of the keys has signed c.
func (s Scheme) match(keys []Key, found signatures, c content) bool {
	for _, key := range keys {
		for _, secret := range key.secrets {
			want := s.mac(secret, c)
			for _, got := range found.hmac {
				if hmac.Equal(got, want) {
					return true
				}
			}
		}
		if key.public == nil || len(found.ed25519) == 0 {
			continue
		}
		signed := s.signed(c)
		for _, got := range found.ed25519 {
			if ed25519.Verify(key.public, signed, got) {
				return true
			}
		}
	}
	return false
}
