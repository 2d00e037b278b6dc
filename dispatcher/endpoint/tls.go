package endpoint

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// TLS is what one endpoint has of its own.
type TLS struct {
	RootCAs     *x509.CertPool   // who may sign its certificate, and nobody else; nil means whom the others may be signed by
	Certificate *tls.Certificate // shown to it where it asks for one; nil means none
}

// LoadTLS reads PEM files: the authorities to trust, and a certificate, with its chain, and the key to it. An empty name
// leaves out what it names; cert and key go together. The error's text begins with the name of the argument that it is of.
func LoadTLS(ca, cert, key string) (TLS, error) {
	var t TLS
	if ca != "" {
		text, err := os.ReadFile(ca)
		if err != nil {
			return TLS{}, fmt.Errorf("ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(text) {
			return TLS{}, fmt.Errorf("ca: %s holds no certificate in PEM", ca)
		}
	}
	switch {
	case cert == "" && key == "":
		return t, nil
	case cert == "":
		return TLS{}, errors.New("cert: empty, but needed with key")
	case key == "":
		return TLS{}, errors.New("key: empty, but needed with cert")
	}
	certText, err := os.ReadFile(cert)
	if err != nil {
		return TLS{}, fmt.Errorf("cert: %w", err)
	}
	if err := checkCertificates(certText); err != nil {
		return TLS{}, fmt.Errorf("cert: %s %w", cert, err)
	}
	keyText, err := os.ReadFile(key)
	if err != nil {
		return TLS{}, fmt.Errorf("key: %w", err)
	}
	pair, err := tls.X509KeyPair(certText, keyText)
	if err != nil {
		return TLS{}, fmt.Errorf("key: %s does not go with %s: %w", key, cert, err)
	}
	t.Certificate = &pair
	return t, nil
}

// checkCertificates looks for certificates that can be read, so that what is wrong with them is not put down to the key.
func checkCertificates(text []byte) error {
	n := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("holds a certificate that cannot be read: %w", err)
		}
		n++
	}
	if n == 0 {
		return errors.New("holds no certificate in PEM")
	}
	return nil
}

// over gives the settings of the other endpoints with the endpoint's own over them.
func (t TLS) over(shared *tls.Config) *tls.Config {
	config := shared.Clone()
	if t.RootCAs != nil {
		config.RootCAs = t.RootCAs
	}
	if t.Certificate != nil {
		config.Certificates = []tls.Certificate{*t.Certificate}
	}
	return config
}
