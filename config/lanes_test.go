package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestLaneTLS(t *testing.T) {
	got, err := load(t, `delivery:
  lanes:
    - {endpoint: "https://a.example.com", tls: {ca: a.pem}}
    - {endpoint: "https://b.example.com", rate: 5/s, tls: {cert: b.crt, key: b.key}}
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []Lane{
		{Endpoint: "https://a.example.com:443", TLS: TLS{CA: "a.pem"}},
		{Endpoint: "https://b.example.com:443", Rate: 5, TLS: TLS{Cert: "b.crt", Key: "b.key"}},
	}
	if lanes := got.Settings.Delivery.Lanes; !reflect.DeepEqual(lanes, want) {
		t.Errorf("the lanes are %+v, want %+v", lanes, want)
	}
	shown := ""
	for _, e := range got.Entries() {
		if e.Path == "delivery.lanes" {
			shown = e.Text()
		}
	}
	const text = "[{endpoint: https://a.example.com:443, tls: {ca: a.pem}}, {endpoint: https://b.example.com:443, rate: 5/s, tls: {cert: b.crt, key: b.key}}]"
	if shown != text {
		t.Errorf("the lanes are shown as %s, want %s", shown, text)
	}
	// What is shown can be read again, by a variable or a flag.
	again, err := load(t, "", nil, "--delivery.lanes="+shown)
	if err != nil || !reflect.DeepEqual(again.Settings.Delivery.Lanes, want) {
		t.Errorf("read again they are %+v, error %v", again.Settings.Delivery.Lanes, err)
	}
}

func TestLaneTLSMistakes(t *testing.T) {
	for lane, want := range map[string]string{
		`endpoint: "https://a", tls: x.pem`:            `tls: the text "x.pem", but a mapping with ca, cert and key belongs here`,
		`endpoint: "https://a", tls: [a]`:              `but a mapping with ca, cert and key belongs here`,
		`endpoint: "https://a", tls:`:                  `tls: nothing, but a mapping with ca, cert and key belongs here`,
		`endpoint: "https://a", tls: {}`:               `tls: neither ca nor cert and key`,
		`endpoint: "https://a", tls: {cart: a, ca: b}`: `tls: unknown key "cart", did you mean cert?`,
		`endpoint: "https://a", tls: {ca: {}}`:         `tls.ca: a mapping, but the name of a PEM file belongs here`,
		`endpoint: "https://a", tls: {ca: ""}`:         `tls.ca: the text "", but the name of a PEM file belongs here`,
		`endpoint: "https://a", tls: {ca:}`:            `tls.ca: nothing, but the name of a PEM file belongs here`,
		`endpoint: "https://a", tls: {cert: a}`:        `tls.key: missing, but needed with tls.cert`,
		`endpoint: "https://a", tls: {key: a}`:         `tls.cert: missing, but needed with tls.key`,
		`endpoint: "http://a", tls: {ca: a}`:           `tls: the endpoint is http://, which has none`,
		`endpoint: "https://a"`:                        `neither concurrency nor rate nor tls, so the lane is like any other`,
		`tls: {ca: a}`:                                 `endpoint is missing`,
	} {
		_, err := load(t, "delivery:\n  lanes:\n    - {"+lane+"}\n", nil)
		if err == nil || !strings.Contains(err.Error(), "bellhop.yaml:3:7: delivery.lanes[0]: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("{%s} = %v, want %s", lane, err, want)
		}
	}
}
