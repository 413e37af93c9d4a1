package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// checkJSON refuses what is no JSON.
func checkJSON(content []byte) error {
	var anything json.RawMessage
	return json.Unmarshal(content, &anything)
}

// readFile reads a file, or standard input where it is called "-".
func (a *app) readFile(name string) ([]byte, error) {
	if name == "-" {
		content, err := io.ReadAll(a.stdin)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return content, nil
	}
	return os.ReadFile(name)
}
