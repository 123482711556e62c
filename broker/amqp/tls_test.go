package amqp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	mathbig "math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/internal/testenv"
)

// clientCertificates has RabbitMQ itself listen with TLS and ask for certificates.
func clientCertificates(t *testing.T, server *testenv.Server) {
	dir := t.TempDir()
	ca := newAuthority(t, dir)
	ca.issue(t, dir, "server")
	ca.issue(t, dir, "client")
	port := testenv.FreePort(t)
	server.Ctl("eval", fmt.Sprintf(`ok = rabbit_networking:start_ssl_listener({"127.0.0.1", %d}, `+
		`[{cacertfile, "%[2]s/ca.pem"}, {certfile, "%[2]s/server.pem"}, {keyfile, "%[2]s/server.key"}, `+
		`{verify, verify_peer}, {fail_if_no_peer_cert, true}], 1).`, port, dir))

	address := fmt.Sprintf("amqps://guest:guest@127.0.0.1:%d", port)
	trusting := address + "?" + url.Values{"cacertfile": {filepath.Join(dir, "ca.pem")}}.Encode()
	own := "&" + url.Values{"certfile": {filepath.Join(dir, "client.pem")}, "keyfile": {filepath.Join(dir, "client.key")}}.Encode()
	b := newBroker(t, trusting+own)
	c := newConsumer(t, b, 1, "secret")
	send(t, b, "secret", "a")
	d := claimOne(t, c)
	if body(d) != "a" {
		t.Errorf("got %s", body(d))
	}
	if err := d.Ack(t.Context()); err != nil {
		t.Error(err)
	}
	for what, bad := range map[string]string{
		"certificate signed by unknown authority": address,
		"client certificate":                      trusting,
		"TLS":                                     "amqps" + strings.TrimPrefix(server.URL, "amqp"),
	} {
		if _, err := newBroker(t, bad).Queues(within(t, patience), "q"); !errors.Is(err, broker.ErrConnection) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v, want ErrConnection and advice", what, err)
		}
	}
}

// authority signs certificates of a test.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	ca := &authority{certificate: &x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	ca.key = ca.sign(t, dir, "ca", ca.certificate)
	return ca
}

func (ca *authority) issue(t *testing.T, dir, name string) {
	t.Helper()
	ca.sign(t, dir, name, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

// sign writes name.pem and name.key. The authority signs itself first.
func (ca *authority) sign(t *testing.T, dir, name string, c *x509.Certificate) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer := ca.key
	if signer == nil {
		signer = key
	}
	c.SerialNumber = mathbig.NewInt(time.Now().UnixNano())
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, c, ca.certificate, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".pem": {Type: "CERTIFICATE", Bytes: der},
		name + ".key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return key
}
