package config

import (
	"maps"
	"strings"
	"testing"
)

// TestStandardVariables has the variables that programs with OpenTelemetry share stand in for defaults, and for nothing more.
func TestStandardVariables(t *testing.T) {
	shared := []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://shared:4318", "OTEL_EXPORTER_OTLP_HEADERS=a=b", "OTEL_SERVICE_NAME=hooks", "OTEL_SDK_DISABLED=x"}
	for name, c := range map[string]struct {
		file         string
		environ      []string
		want, origin string
	}{
		"nothing is set":        {"", nil, "", "default"},
		"the shared one":        {"", shared, "http://shared:4318", "env OTEL_EXPORTER_OTLP_ENDPOINT"},
		"empty is none":         {"", []string{"OTEL_EXPORTER_OTLP_ENDPOINT="}, "", "default"},
		"the file goes before":  {"telemetry: {otlp_endpoint: 'https://file:4318/base'}", shared, "https://file:4318/base", ":1"},
		"the file says none":    {"telemetry: {otlp_endpoint: ''}", shared, "", ":1"},
		"so does Bellhop's own": {"", append([]string{"BELLHOP_TELEMETRY__OTLP_ENDPOINT=http://own:4318"}, shared...), "http://own:4318", "env BELLHOP_TELEMETRY__OTLP_ENDPOINT"},
	} {
		got, err := load(t, c.file, c.environ)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if origin := got.Origin("telemetry.otlp_endpoint").String(); got.Settings.Telemetry.Endpoint != c.want || !strings.HasSuffix(origin, c.origin) {
			t.Errorf("%s: endpoint %q from %s, want %q from %s", name, got.Settings.Telemetry.Endpoint, origin, c.want, c.origin)
		}
	}
	got, err := load(t, "", shared)
	if err != nil || got.Settings.Telemetry.Headers != "a=b" || got.Settings.Telemetry.ServiceName != "hooks" {
		t.Errorf("telemetry = %+v, %v, want the shared headers and name", got.Settings.Telemetry, err)
	}
}

func TestTelemetryIsChecked(t *testing.T) {
	for file, want := range map[string]string{
		"telemetry: {otlp_endpoint: 'collector:4318'}":         "the URL is not valid, such as http://127.0.0.1:4318",
		"telemetry: {otlp_endpoint: 'grpc://collector:4317'}":  `the scheme "grpc", but http or https belongs here`,
		"telemetry: {otlp_endpoint: 'http://'}":                "the URL has no host",
		"telemetry: {otlp_endpoint: 'http://u:s3cret@c:4318'}": "what the collector asks for belongs into telemetry.otlp_headers",
		"telemetry: {otlp_endpoint: 'http://c:4318/?token=1'}": "the URL has a query or a fragment",
		"telemetry: {otlp_headers: 'Authorization'}":           "header 1 of the list is not name=value",
		"telemetry: {otlp_headers: 'a=1,b c=s3cret'}":          "header 2 of the list is not name=value",
		"telemetry: {otlp_headers: 'a=s3cret%0d%0aX: y'}":      "the value of header a is not percent-encoded text on one line",
		"telemetry: {otlp_headers: 'a=s3cret%zz'}":             "the value of header a is not percent-encoded text on one line",
		"telemetry: {sample_ratio: 1.5}":                       "1.5, at most 1",
		"telemetry: {sample_ratio: -1}":                        "-1, at least 0",
		"telemetry: {service_name: ''}":                        "telemetry.service_name",
		"telemetry: {endpoint: 'http://127.0.0.1:4318'}":       "unknown key",
	} {
		_, err := load(t, file, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want an error with %q and no value in it", file, err, want)
		}
	}
	headers, err := OTLPHeaders("Authorization=Bearer%20a%3Db, X-Tenant = acme ")
	if want := map[string]string{"Authorization": "Bearer a=b", "X-Tenant": "acme"}; err != nil || !maps.Equal(headers, want) {
		t.Errorf("headers = %q, %v, want %q", headers, err, want)
	}
}
