package console

import (
	_ "embed"
	"net/http"
)

// openAPI describes every route, and a test holds the two together.
//
//go:embed openapi.yaml
var openAPI []byte

func (s *Server) describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(openAPI)
}
