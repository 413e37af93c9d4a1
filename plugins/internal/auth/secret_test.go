package auth

import "testing"

func TestASecretIsHiddenInWhateverFormItComesBack(t *testing.T) {
	secrets := Secrets(nil).With(`top"secret value`, "a", "token", "token-1", "token-1-and-more")
	for text, want := range map[string]string{
		`it was top"secret value, was it?`:         "it was [secret], was it?",
		`{"key":"top\"secret value"}`:              `{"key":"[secret]"}`,
		"https://example.com/top%22secret%20value": "https://example.com/[secret]",
		"?key=top%22secret+value&a=1":              "?key=[secret]&a=1",
		"token-1-and-more, token-1, token":         "[secret], [secret], token", // which is a word, and too short to be looked for
		"a banana":                                 "a banana",
		"":                                         "",
	} {
		if got := secrets.Hide(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		`an excerpt that ends in top"se`:     "an excerpt that ends in [secret]",
		`an excerpt that ends in top"s`:      `an excerpt that ends in top"s`,
		`{"key":"top\"sec`:                   `{"key":"[secret]`,
		`top"secret value and then token-1-`: "[secret] and then [secret]-",
		"token-":                             "[secret]",
		"":                                   "",
	} {
		if got := secrets.HideCut(text); got != want {
			t.Errorf("cut, %q: got %q, want %q", text, got, want)
		}
	}
}
