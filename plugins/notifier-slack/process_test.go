package main

import (
	"testing"

	"github.com/postrider/postrider/plugins/internal/plugintest"
)

func TestMain(m *testing.M) { plugintest.Main(m, main) }

var (
	start  = plugintest.Start
	launch = plugintest.Launch
	notify = plugintest.Notify
)
