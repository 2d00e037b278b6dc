package console

import "net/http"

// page serves what browsers show. Nothing below it may hold data of deliveries: it is served before anybody has signed in.
func (s *Server) page(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", s.index)
}

// index says where things are.
func (s *Server) index(w http.ResponseWriter, _ *http.Request) {
	text(w, http.StatusOK, "Bellhop "+s.o.Version+"\n\n/healthz\n/readyz\n/metrics\n/api/v1/stats\n/api/v1/rules\n/api/v1/rules/versions\n/api/v1/lanes\n/api/v1/openapi.yaml\n")
}
