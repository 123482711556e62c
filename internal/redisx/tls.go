package redisx

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// tlsConfig reads the ssl_* parameters of redis-py.
func tlsConfig(host string, q url.Values) (*tls.Config, error) {
	cfg := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if err := verification(cfg, q); err != nil {
		return nil, err
	}
	if path := q.Get("ssl_ca_certs"); path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("redis URL: ssl_ca_certs: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("redis URL: ssl_ca_certs: no certificate in %s", path)
		}
	}
	cert, key := q.Get("ssl_certfile"), q.Get("ssl_keyfile")
	if cert == "" && key == "" {
		return cfg, nil
	}
	if key == "" {
		key = cert
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("redis URL: ssl_certfile and ssl_keyfile: %w", err)
	}
	cfg.Certificates = []tls.Certificate{pair}
	return cfg, nil
}

func verification(cfg *tls.Config, q url.Values) error {
	reqs := strings.ToLower(strings.TrimPrefix(q.Get("ssl_cert_reqs"), "CERT_"))
	switch reqs {
	case "none":
		cfg.InsecureSkipVerify = true
	case "", "required", "optional":
		if strings.EqualFold(q.Get("ssl_check_hostname"), "false") {
			cfg.InsecureSkipVerify = true
			cfg.VerifyConnection = func(s tls.ConnectionState) error { return verifyChain(cfg.RootCAs, s) }
		}
	default:
		return fmt.Errorf("redis URL: ssl_cert_reqs is %q (known: required, optional, none)", reqs)
	}
	return nil
}

// verifyChain is the usual check but for the host's name.
func verifyChain(roots *x509.CertPool, s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("redis server shows no certificate")
	}
	opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range s.PeerCertificates[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(opts)
	return err
}
