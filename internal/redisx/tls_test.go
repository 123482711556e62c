package redisx

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/internal/testenv"
)

// authority signs certificates into a folder: ca.pem, <name>.pem, <name>.key.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.sign(t, "ca", &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

func (a *authority) sign(t *testing.T, name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := c, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, a.path(name+".pem"), "CERTIFICATE", der)
	write(t, a.path(name+".key"), "PRIVATE KEY", secret)
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signed, key
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func write(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTLS talks to a real server that demands client certificates or not, under
// each spelling of ssl_cert_reqs.
func TestTLS(t *testing.T) {
	a := newAuthority(t)
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	a.sign(t, "server", &x509.Certificate{SerialNumber: big.NewInt(2), ExtKeyUsage: usage, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	a.sign(t, "elsewhere", &x509.Certificate{SerialNumber: big.NewInt(3), ExtKeyUsage: usage, DNSNames: []string{"elsewhere.example"}})
	a.sign(t, "client", &x509.Certificate{SerialNumber: big.NewInt(4), ExtKeyUsage: usage})
	start := func(cert, clients string) string {
		port := strconv.Itoa(testenv.FreePort(t))
		testenv.RedisServer(t, "--tls-port", port, "--tls-cert-file", a.path(cert+".pem"), "--tls-key-file", a.path(cert+".key"),
			"--tls-ca-cert-file", a.path("ca.pem"), "--tls-auth-clients", clients)
		return "rediss://127.0.0.1:" + port + "/3"
	}
	open, closed, misnamed := start("server", "no"), start("server", "yes"), start("elsewhere", "no")
	ca := "&ssl_ca_certs=" + a.path("ca.pem")
	pair := "&ssl_certfile=" + a.path("client.pem") + "&ssl_keyfile=" + a.path("client.key")
	for _, c := range []struct{ name, url, err string }{
		{"required", open + "?ssl_cert_reqs=required" + ca, ""},
		{"CERT_REQUIRED", open + "?ssl_cert_reqs=CERT_REQUIRED" + ca, ""},
		{"CERT_OPTIONAL", open + "?ssl_cert_reqs=CERT_OPTIONAL" + ca, ""},
		{"by default", open + "?" + ca, ""},
		{"none", open + "?ssl_cert_reqs=none", ""},
		{"CERT_NONE", open + "?ssl_cert_reqs=CERT_NONE", ""},
		{"unknown authority", open, "certificate that is not trusted (set ssl_ca_certs"},
		{"client certificate", closed + "?ssl_cert_reqs=CERT_REQUIRED" + ca + pair, ""},
		{"no client certificate", closed + "?ssl_cert_reqs=CERT_REQUIRED" + ca, "cannot reach Redis"},
		{"other name", misnamed + "?ssl_cert_reqs=required" + ca, "certificate that is not trusted"},
		{"name not checked", misnamed + "?ssl_check_hostname=false" + ca, ""},
		{"name not checked, authority is", misnamed + "?ssl_check_hostname=false", "certificate that is not trusted"},
		{"plain client", strings.Replace(open, "rediss", "redis", 1), "cannot reach Redis"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := parse(t, c.url).Dial(t.Context())
			if err == nil {
				_, err = conn.Do("SET", "k", "v")
				conn.Close()
			}
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("dial: %v, want %q", err, c.err)
			}
		})
	}
}

// TestSocket uses a server's Unix socket and a user of its access list.
func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "redis.sock")
	testenv.RedisServer(t, "--unixsocket", path, "--user", "shop", "on", ">pa/ss", "~*", "&*", "+@all", "-flushall")
	conn, err := parse(t, "redis+socket://shop:pa%2Fss@"+path+"?virtual_host=5").Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Do("SET", "k", "v"); err != nil {
		t.Error(err)
	}
	if _, err := parse(t, "redis+socket://shop:wrong@"+path).Dial(t.Context()); err == nil || !strings.Contains(err.Error(), "refuses the login") {
		t.Errorf("wrong password: %v", err)
	}
}
