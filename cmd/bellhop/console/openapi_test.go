package console

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// Every route is described, and nothing is described that is no route.
func TestDescriptionNamesEveryRoute(t *testing.T) {
	var doc struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	var described []string
	for path, item := range doc.Paths {
		for method := range item {
			if method != "parameters" {
				described = append(described, strings.ToUpper(method)+" "+path)
			}
		}
	}
	s := &Server{}
	served := []string{http.MethodGet + " " + badgePath} // of the page
	for _, r := range s.table(&access{}) {
		served = append(served, r.pattern)
	}
	slices.Sort(described)
	slices.Sort(served)
	for _, one := range served {
		if !slices.Contains(described, one) {
			t.Errorf("%s is served and not described", one)
		}
	}
	for _, one := range described {
		if !slices.Contains(served, one) {
			t.Errorf("%s is described and not served", one)
		}
	}
}
