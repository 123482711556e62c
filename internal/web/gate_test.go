package web

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// request builds a request as the gate sees it: from loopback to loopback
// unless headers say otherwise. "peer" and "host" are no headers.
func request(method string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, "/x", nil)
	r.RemoteAddr, r.Host = "127.0.0.1:40000", "localhost:5555"
	for i := 0; i+1 < len(headers); i += 2 {
		switch headers[i] {
		case "peer":
			r.RemoteAddr = headers[i+1]
		case "host":
			r.Host = headers[i+1]
		default:
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	return r
}

func mustCredentials(t *testing.T, pairs ...string) credentials {
	t.Helper()
	c, err := newCredentials(pairs)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestGateDecidesByPeerAndCredentials(t *testing.T) {
	open := &gate{}
	flag := &gate{openAPI: true}
	auth := &gate{users: mustCredentials(t, "ada:secret", "bob:pass:word")}
	readOnly := &gate{readOnly: true}
	stranger := []string{"peer", "192.0.2.7:1", "host", "monitor:5555"}
	ada := []string{"Authorization", "Basic YWRhOnNlY3JldA=="}
	tests := []struct {
		name     string
		gate     *gate
		access   Access
		r        *http.Request
		status   int
		text     string
		operator bool
	}{
		{"loopback reads a page", open, Page, request("GET"), 0, "", true},
		{"loopback reads the API", open, API, request("GET"), 0, "", true},
		{"loopback acts", open, Action, request("POST"), 0, "", true},
		{"loopback uses XingQiao", open, CompatAction, request("GET"), 0, "", true},
		{"IPv6 loopback", open, Action, request("POST", "peer", "[::1]:9", "host", "[::1]:5555"), 0, "", true},
		{"mapped loopback", open, Action, request("POST", "peer", "[::ffff:127.0.0.1]:9", "host", "127.0.0.1"), 0, "", true},
		{"rebound name", open, API, request("GET", "host", "evil.example"), 401, unauthenticatedAPIText, false},
		{"name that begins like loopback", open, API, request("GET", "host", "localhost.evil.example"), 401, unauthenticatedAPIText, false},
		{"behind a proxy", open, API, request("GET", "X-Forwarded-For", "127.0.0.1"), 401, unauthenticatedAPIText, false},
		{"behind a proxy that says Forwarded", open, API, request("GET", "Forwarded", "for=127.0.0.1"), 401, unauthenticatedAPIText, false},
		{"behind nginx", open, Action, request("POST", "X-Real-Ip", "127.0.0.1"), 401, unauthenticatedAPIText, false},
		{"stranger reads a page", open, Page, request("GET", stranger...), 0, "", false},
		{"stranger checks health", open, Open, request("GET", stranger...), 0, "", false},
		{"stranger reads the API", open, API, request("GET", stranger...), 401, unauthenticatedAPIText, false},
		{"stranger acts", open, Action, request("POST", stranger...), 401, unauthenticatedAPIText, false},
		{"stranger uses XingQiao", open, CompatAction, request("GET", stranger...), 401, unauthenticatedAPIText, false},
		{"flag opens the API", flag, API, request("GET", stranger...), 0, "", true},
		{"flag opens actions", flag, Action, request("POST", stranger...), 0, "", true},
		{"auth holds for loopback", auth, API, request("GET"), 401, "", false},
		{"auth guards pages", auth, Page, request("GET"), 401, accessDeniedText, false},
		{"auth leaves health open", auth, Open, request("GET"), 0, "", false},
		{"auth lets users in", auth, Action, request("POST", ada...), 0, "", true},
		{"password with a colon", auth, Page, request("GET", "Authorization", "Basic Ym9iOnBhc3M6d29yZA=="), 0, "", true},
		{"wrong password", auth, Page, request("GET", "Authorization", "Basic YWRhOndyb25n"), 401, accessDeniedText, false},
		{"lower case scheme, as Flower", auth, Page, request("GET", "Authorization", "basic YWRhOnNlY3JldA=="), 401, accessDeniedText, false},
		{"broken base64", auth, Page, request("GET", "Authorization", "Basic %%%"), 401, accessDeniedText, false},
		{"auth beats the flag", &gate{users: auth.users, openAPI: true}, API, request("GET"), 401, "", false},
		{"preflight needs no password", auth, API, request("OPTIONS"), 0, "", false},
		{"read-only reads", readOnly, API, request("GET"), 0, "", false},
		{"read-only acts", readOnly, Action, request("POST"), 403, readOnlyText, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := test.gate.judge(test.r, test.access)
			if v.status != test.status || v.text != test.text || v.operator != test.operator {
				t.Errorf("got status %d, text %q, operator %v; want %d, %q, %v",
					v.status, v.text, v.operator, test.status, test.text, test.operator)
			}
			if v.challenge != (v.text == accessDeniedText) {
				t.Errorf("challenge %v with text %q", v.challenge, v.text)
			}
		})
	}
}

func TestCrossSiteRequestsAreRefused(t *testing.T) {
	tests := []struct {
		name   string
		access Access
		r      *http.Request
		want   string
	}{
		{"program", Action, request("POST"), ""},
		{"same origin", Action, request("POST", "Sec-Fetch-Site", "same-origin", "Origin", "http://localhost:5555"), ""},
		{"same origin beats a foreign Origin", Action, request("POST", "Sec-Fetch-Site", "same-origin", "Origin", "null"), ""},
		{"cross-site write", Action, request("POST", "Sec-Fetch-Site", "cross-site"), crossSiteText},
		{"same-site write", Action, request("POST", "Sec-Fetch-Site", "same-site"), crossSiteText},
		{"write typed into the bar", Action, request("POST", "Sec-Fetch-Site", "none"), crossSiteText},
		{"foreign Origin", Action, request("POST", "Origin", "http://evil.example"), crossOriginText},
		{"same host, other port", Action, request("POST", "Origin", "http://localhost:8080"), crossOriginText},
		{"null Origin", Action, request("POST", "Origin", "null"), crossOriginText},
		{"own Origin", Action, request("POST", "Origin", "http://LOCALHOST:5555"), ""},
		{"write to a page", Page, request("POST", "Sec-Fetch-Site", "cross-site"), crossSiteText},
		{"write to an open route", Open, request("POST", "Origin", "http://evil.example"), crossOriginText},
		{"cross-site read of a page", Page, request("GET", "Sec-Fetch-Site", "cross-site"), ""},
		{"cross-site read of the API", API, request("GET", "Sec-Fetch-Site", "cross-site"), ""},
		{"cross-site read of XingQiao", CompatAction, request("GET", "Sec-Fetch-Site", "cross-site"), crossSiteText},
		{"cross-origin read of XingQiao", CompatAction, request("GET", "Origin", "http://evil.example"), crossOriginText},
		{"XingQiao typed into the bar", CompatAction, request("GET", "Sec-Fetch-Site", "none"), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := crossSite(test.r, test.access); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			for _, g := range []*gate{{}, {openAPI: true}, {users: mustCredentials(t, "a:b")}} {
				if v := g.judge(test.r, test.access); test.want != "" && (v.status != 403 || v.text != test.want) {
					t.Errorf("the gate answers %d %q", v.status, v.text)
				}
			}
		})
	}
}

func TestCORSNeverCoversLoopbackTrust(t *testing.T) {
	users := mustCredentials(t, "a:b")
	tests := []struct {
		name   string
		gate   gate
		access Access
		want   bool
	}{
		{"nothing set", gate{}, API, false},
		{"nothing set, page", gate{}, Page, false},
		{"flag", gate{openAPI: true}, API, true},
		{"auth and flag", gate{users: users, openAPI: true}, API, false},
		{"auth and cors", gate{users: users, cors: true}, API, true},
		{"cors alone does not open what loopback opens", gate{cors: true}, API, false},
		{"cors alone on XingQiao", gate{cors: true}, CompatAction, false},
		{"cors alone on a page", gate{cors: true}, Page, true},
	}
	for _, test := range tests {
		if got := test.gate.judge(request("GET"), test.access).cors; got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
		if got := test.gate.corsFor(test.access); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestCredentialsMustBePairs(t *testing.T) {
	for _, bad := range []string{"", "ada", ":secret"} {
		if _, err := newCredentials([]string{bad}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
