package brokertest

import "testing"

func TestNoPortIsGivenTwice(t *testing.T) {
	const many = 500 // of 6,000: chance alone would give some twenty of them twice
	given := map[int]bool{}
	for range many {
		port, token, err := reservePort()
		if err != nil {
			t.Fatal(err)
		}
		defer token.Close()
		if given[port] {
			t.Fatalf("port %d is given twice", port)
		}
		given[port] = true
	}
}
