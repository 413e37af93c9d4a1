package httpapi

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/mux"
)

func TestTheREADMEListsEveryRouteAndNoOther(t *testing.T) {
	content, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z ]+) (/[^`]*)` \\|").FindAllStringSubmatch(string(content), -1) {
		documented = append(documented, row[2])
	}
	var routes []string
	err = New(Config{Token: "token"}).(*api).router.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		path, err := route.GetPathTemplate()
		routes = append(routes, strings.Replace(path, "{version:[vV]1}", "V1", 1))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(documented)
	slices.Sort(routes)
	if !slices.Equal(documented, routes) {
		t.Errorf("README.md has\n%s\nand the API\n%s", strings.Join(documented, "\n"), strings.Join(routes, "\n"))
	}
}
