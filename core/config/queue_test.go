package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/core/config"
)

func TestThePasswordOfTheBrokerComesFromTheURLAVariableOrAFile(t *testing.T) {
	const want = "amqps://shop:se%2Fcret@mq:5671/live"
	inURL := load(t, "queue: {url: '"+want+"'}\n")
	inVariable, err := config.Load(write(t, "p.yaml", "queue: {url: 'amqps://shop@mq:5671/live'}\n"), []string{"POSTRIDER_QUEUE_PASSWORD=se/cret"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, "p.yaml", "queue: {url: 'amqps://shop@mq:5671/live', password_file: password}\n")
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "password"), []byte("se/cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	inFile, err := config.Load(file, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for where, c := range map[string]config.Config{"URL": inURL, "variable": inVariable, "file": inFile} {
		if got, err := c.Queue.BrokerURL(); got != want || err != nil {
			t.Errorf("from the %s: got %s, %v", where, got, err)
		}
		for _, printed := range []string{fmt.Sprint(c.Queue), fmt.Sprintf("%+v %#v", c, c)} {
			if strings.Contains(printed, "cret") {
				t.Errorf("from the %s: the password is printed: %s", where, printed)
			}
		}
	}
}

func TestSettingsOfTheQueueThatDoNotFitTogetherAreRefused(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"{url: 'amqp://u@h/', password: secret, password_file: f}", "queue.password and queue.password_file are both set"},
		{"{url: 'amqp://u:secret@h/', password: secret}", "queue.url holds a password, and"},
		{"{url: 'amqp://u:secret@h/', password_file: f}", "queue.url holds a password, and"},
		{"{url: 'amqp://h/', password: secret}", "queue.url names no user"},
		{"{url: 'amqps://h/', tls: {cert_file: c}}", "queue.tls.cert_file and queue.tls.key_file belong together"},
		{"{url: 'amqp://h/', tls: {ca_file: c}}", "queue.tls is set, and queue.url begins with amqp:"},
	} {
		_, err := config.Load(write(t, "p.yaml", "queue: "+test.text+"\n"), nil, nil)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want an error that says %q", err, test.want)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error gives the password away: %v", err)
		}
	}
}

func TestFilesOfTheQueueThatCanNotBeUsedAreNamed(t *testing.T) {
	empty := write(t, "empty", "\n")
	if _, err := (config.Queue{URL: "amqp://u@h/", PasswordFile: empty}).BrokerURL(); err == nil || !strings.Contains(err.Error(), empty+" is empty") {
		t.Errorf("an empty password: %v", err)
	}
	if _, err := (config.Queue{URL: "amqp://u@h/", PasswordFile: empty + "x"}).BrokerURL(); err == nil || !strings.Contains(err.Error(), empty+"x: no such file") {
		t.Errorf("no password: %v", err)
	}
	if _, err := (config.TLS{CAFile: empty}).Config(); err == nil || !strings.Contains(err.Error(), "there is no certificate in "+empty) {
		t.Errorf("an empty CA: %v", err)
	}
	if _, err := (config.TLS{CertFile: empty, KeyFile: empty}).Config(); err == nil || !strings.Contains(err.Error(), "queue.tls.cert_file and queue.tls.key_file: ") {
		t.Errorf("an empty certificate: %v", err)
	}
	if c, err := (config.TLS{}).Config(); c != nil || err != nil {
		t.Errorf("no files: %v, %v", c, err)
	}
}
