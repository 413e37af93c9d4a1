// Package brokertest runs private RabbitMQ nodes for tests: ports, name, cookie, directory and port mapper (epmd) of their own, so that no test
// depends on a broker that happens to run, and none disturbs it.
//
//	var broker brokertest.Shared // one node for a package, started by the first test that needs it
//
//	func TestMain(m *testing.M) {
//		code := m.Run()
//		broker.Stop()
//		os.Exit(code)
//	}
//
//	func TestSomething(t *testing.T) { url := broker.Start(t).URL() }
//
// A test that kills its broker takes one of its own, with [Start]. Where RabbitMQ is not installed the test fails and says what to do; it is skipped
// only where SKIP_SERVICES=1 says so. A node ends with the process of its tests, also when that is killed.
package brokertest
