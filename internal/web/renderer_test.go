package web

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/umbel-go/umbel/static"
	"github.com/umbel-go/umbel/templates"
)

// site is a tiny site: its one page shows what the functions give.
func site(page string) fstest.MapFS {
	return fstest.MapFS{
		"layout.html":         {Data: []byte(`{{define "layout"}}<html lang="{{.Lang}}">{{template "title" .}}|{{range .Notices}}{{t .Text}}{{end}}{{template "content" .}}{{end}}`)},
		"partials/state.html": {Data: []byte(`{{define "state"}}{{with state .}}{{.Tone}}/{{.Icon}}/{{.Word}}{{end}}{{end}}`)},
		"error.html":          {Data: []byte(`{{define "title"}}e{{end}}{{define "content"}}{{.Data.Status}}{{end}}`)},
		"page.html":           {Data: []byte(`{{define "title"}}T{{end}}{{define "content"}}` + page + `{{end}}`)},
		"lang/zh-CN.json":     {Data: []byte(`{"Online": "在线", "%d left": "剩 %d"}`)},
		"lang/zh-CN.dag.json": {Data: []byte(`{"Runs": "运行"}`)},
		"static/a.css":        {Data: []byte(`a{}`)},
	}
}

func draw(t *testing.T, page string, data any, r *http.Request) string {
	t.Helper()
	files := site(page)
	assets, err := fs.Sub(files, "static")
	if err != nil {
		t.Fatal(err)
	}
	rd, err := NewRenderer(files, assets)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, Config{Renderer: rd}, Route{Path: "/p", Access: Page, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rd.Render(w, r, http.StatusOK, "page.html", data)
	})})
	return ask(s.Handler(), r).Body.String()
}

func TestTemplateFunctions(t *testing.T) {
	tests := []struct {
		page string
		data any
		path string
		want string
	}{
		{`{{url "/task/" (segment .Data)}}`, "a/b c", "/p", "/task/a%2Fb%20c"},
		{`<a href="{{url "/task/" (segment .Data)}}">`, `a/b"<`, "/flower/p", `<a href="/flower/task/a%2Fb%22%3C">`},
		{`{{t "%d left" 3}}{{t "Runs"}}{{t "None"}}`, nil, "/p?lang=zh", "剩 3运行None"},
		{`{{template "state" .Data}}`, "FAILURE", "/p?lang=zh", "bad/cross/FAILURE"},
		{`{{template "state" .Data}}`, "online", "/p?lang=zh", "good/disc/在线"},
		{`{{template "state" .Data}}`, "<b>", "/p", "info/tag/&lt;b&gt;"},
		{`{{number .Data}}`, -1234567, "/p", "-1,234,567"},
		{`{{duration .Data}}`, 0.00087, "/p", "0.87 ms"},
		{`{{truncate 3 .Data}}{{short "0123"}}`, "北京烤鸭", "/p", "北京…0123"},
	}
	for _, test := range tests {
		if got := draw(t, test.page, test.data, at(request("GET"), test.path)); !strings.Contains(got, test.want) {
			t.Errorf("%s: got %s, want %s", test.page, got, test.want)
		}
	}
}

type noticing string

func (n noticing) Notices() []Notice { return []Notice{{Text: string(n)}} }

func TestNoticesAreTranslatedAndEscaped(t *testing.T) {
	got := draw(t, "", noticing("<i>"), at(request("GET"), "/p"))
	if !strings.Contains(got, "|&lt;i&gt;") {
		t.Error(got)
	}
}

func TestLanguageIsChosenAndRemembered(t *testing.T) {
	tests := []struct {
		query, cookie, accept, want string
	}{
		{"", "", "", english},
		{"", "", "zh-TW,zh;q=0.9,en;q=0.1", chinese},
		{"", "", "fr, en;q=0.5, zh;q=0.4", english},
		{"", "", "en;q=0.2, zh;q=nonsense", english},
		{"", "zh-CN", "en", chinese},
		{"?lang=en", "zh-CN", "zh", english},
		{"?lang=zh_CN", "", "en", chinese},
		{"?lang=<script>", "", "en", english},
	}
	s := newServer(t, Config{})
	for _, test := range tests {
		r := at(request("GET", "Accept", "text/html", "Accept-Language", test.accept), "/nope"+test.query)
		if test.cookie != "" {
			r.AddCookie(&http.Cookie{Name: languageCookie, Value: test.cookie})
		}
		w := ask(s.Handler(), r)
		if got := w.Header().Get("Content-Language"); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
		remembered := strings.Contains(strings.Join(w.Header().Values("Set-Cookie"), ";"), languageCookie+"="+test.want)
		if valid := test.query != "" && !strings.Contains(test.query, "script"); remembered != valid {
			t.Errorf("%+v: cookies %q", test, w.Header().Values("Set-Cookie"))
		}
	}
}

func TestPagesSetFlowersToken(t *testing.T) {
	s := newServer(t, Config{})
	r := at(request("GET", "Accept", "text/html"), "/nope")
	first := ask(s.Handler(), r).Result().Cookies()
	if len(first) != 1 || first[0].Name != "_xsrf" || first[0].HttpOnly || first[0].SameSite != http.SameSiteLaxMode {
		t.Fatalf("got %v", first)
	}
	r.AddCookie(first[0])
	if again := ask(s.Handler(), r).Result().Cookies(); len(again) != 0 {
		t.Errorf("set again: %v", again)
	}
}

func TestStaticFilesAreCachedByHash(t *testing.T) {
	rd := newRenderer(t)
	h := newServer(t, Config{Renderer: rd}).Handler()
	hashed, err := rd.assets.path("app.css")
	if err != nil {
		t.Fatal(err)
	}
	for address, cache := range map[string]string{
		hashed:                     "public, max-age=31536000, immutable",
		"/static/app.css":          "no-cache",
		"/static/-0ld/app.css":     "no-cache",
		"/static/nope.css":         "",
		"/static/../server.go":     "",
		"/static/%2e%2e/server.go": "",
	} {
		w := ask(h, at(request("GET"), address))
		if got := w.Header().Get("Cache-Control"); (w.Code == 200) != (cache != "") || w.Code == 200 && got != cache {
			t.Errorf("%s: %d %q", address, w.Code, got)
		}
	}
	etag := ask(h, at(request("GET"), "/static/app.css")).Header().Get("Etag")
	if w := ask(h, at(request("GET", "If-None-Match", etag), "/static/app.css")); w.Code != http.StatusNotModified {
		t.Errorf("with its ETag: %d", w.Code)
	}
}

func TestBrokenTemplatesAreErrors(t *testing.T) {
	for name, break_ := range map[string]func(fstest.MapFS){
		"syntax":          func(f fstest.MapFS) { f["page.html"].Data = []byte(`{{if}}`) },
		"no layout":       func(f fstest.MapFS) { delete(f, "layout.html") },
		"bad catalogue":   func(f fstest.MapFS) { f["lang/zh-CN.json"].Data = []byte(`[]`) },
		"contradiction":   func(f fstest.MapFS) { f["lang/zh-CN.x.json"] = &fstest.MapFile{Data: []byte(`{"Runs": "跑"}`)} },
		"unknown partial": func(f fstest.MapFS) { f["page.html"].Data = []byte(`{{nope}}`) },
	} {
		files := site("")
		break_(files)
		if _, err := NewRenderer(files, fstest.MapFS{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// eachTemplate calls fn with every template of the program.
func eachTemplate(t *testing.T, fn func(name, text string)) {
	t.Helper()
	for _, pattern := range []string{"*.html", "partials/*.html"} {
		names, err := fs.Glob(templates.FS, pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v %v", pattern, names, err)
		}
		for _, name := range names {
			data, err := fs.ReadFile(templates.FS, name)
			if err != nil {
				t.Fatal(err)
			}
			fn(path.Base(name), string(data))
		}
	}
}

func TestTemplatesObeyTheContentSecurityPolicy(t *testing.T) {
	inline := regexp.MustCompile(`(?i)<script(>|\s[^>]*[^>"]>)|\sstyle=|<style|\son[a-z]+=|javascript:|https?://[^ "]*\.(js|css)`)
	bare := regexp.MustCompile(`<script[^>]*>[^<]`)
	eachTemplate(t, func(name, text string) {
		if found := inline.FindString(text); found != "" {
			t.Errorf("%s: %q", name, found)
		}
		if found := bare.FindString(text); found != "" {
			t.Errorf("%s: inline script %q", name, found)
		}
	})
}

func TestEverythingIsTranslated(t *testing.T) {
	rd := newRenderer(t)
	call := regexp.MustCompile(`\(?\bt "([^"]+)"`)
	eachTemplate(t, func(name, text string) {
		for _, match := range call.FindAllStringSubmatch(text, -1) {
			if _, ok := rd.texts[chinese][match[1]]; !ok {
				t.Errorf("%s: no translation of %q", name, match[1])
			}
		}
	})
	verbs := regexp.MustCompile(`%[a-z]`)
	for text, translation := range rd.texts[chinese] {
		if got, want := verbs.FindAllString(translation, -1), verbs.FindAllString(text, -1); strings.Join(got, "") != strings.Join(want, "") {
			t.Errorf("%q and %q take different values", text, translation)
		}
	}
}

func TestIconsOfStatesExist(t *testing.T) {
	icons, err := fs.ReadFile(templates.FS, "partials/icons.html")
	if err != nil {
		t.Fatal(err)
	}
	for state, look := range looks {
		if !strings.Contains(string(icons), `id="i-`+look.icon+`"`) {
			t.Errorf("%s: no icon %s", state, look.icon)
		}
	}
}

func TestScriptsAreModulesWithRelativeImports(t *testing.T) {
	rd := newRenderer(t)
	imports := regexp.MustCompile(`from "\./([^"]+)"`)
	names, err := fs.Glob(static.FS, "*.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		for _, m := range imports.FindAllSubmatch(rd.assets.files[name].data, -1) {
			if _, err := rd.assets.path(string(m[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestErrorsArePagesOrJSON(t *testing.T) {
	s := newServer(t, Config{})
	page := ask(s.Handler(), at(request("GET", "Accept", "text/html,*/*"), "/nope"))
	if !strings.Contains(page.Header().Get("Content-Type"), "text/html") || !strings.Contains(page.Body.String(), "<title>Not Found · Umbel</title>") {
		t.Errorf("page: %s", page.Body)
	}
	program := ask(s.Handler(), at(request("GET", "Accept", "application/json"), "/nope"))
	var body map[string]string
	if err := json.Unmarshal(program.Body.Bytes(), &body); err != nil || body["error"] == "" {
		t.Errorf("program: %s", program.Body)
	}
}
