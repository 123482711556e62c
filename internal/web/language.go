package web

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// Languages of the pages (BCP 47). English is what the templates are written in.
const (
	english = "en"
	chinese = "zh-CN"
)

// languages are offered in this order, each under its own name.
var languages = []struct{ tag, name, short string }{
	{english, "English", "EN"},
	{chinese, "简体中文", "中文"},
}

// languageCookie remembers what ?lang= chose.
const languageCookie = "umbel_lang"

// catalogue maps a language to its translations, keyed by the English text.
type catalogue map[string]map[string]string

// loadCatalogue reads lang/*.json: "zh-CN.json", and "zh-CN.<part>.json" for a
// part of the program that keeps its own file. Each is one object of English
// text to translation; two files must not disagree.
func loadCatalogue(fsys fs.FS) (catalogue, error) {
	c := catalogue{}
	names, err := fs.Glob(fsys, "lang/*.json")
	if err != nil {
		return nil, fmt.Errorf("list catalogues: %w", err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("read catalogue: %w", err)
		}
		var texts map[string]string
		if err := json.Unmarshal(data, &texts); err != nil {
			return nil, fmt.Errorf("read catalogue %s: %w", name, err)
		}
		lang, _, _ := strings.Cut(path.Base(name), ".")
		if err := c.add(lang, texts); err != nil {
			return nil, fmt.Errorf("read catalogue %s: %w", name, err)
		}
	}
	return c, nil
}

func (c catalogue) add(lang string, texts map[string]string) error {
	if c[lang] == nil {
		c[lang] = map[string]string{}
	}
	for text, translation := range texts {
		if old, ok := c[lang][text]; ok && old != translation {
			return fmt.Errorf("%q is translated twice, as %q and %q", text, old, translation)
		}
		c[lang][text] = translation
	}
	return nil
}

// translate returns the text in the language, in English where it is missing,
// with args put in as by fmt.Sprintf.
func (c catalogue) translate(lang, text string, args ...any) string {
	if t, ok := c[lang][text]; ok {
		text = t
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// languageOf picks the language of an answer: ?lang=, then the cookie, then
// Accept-Language, then English.
func languageOf(r *http.Request) string {
	if tag, ok := matchLanguage(r.URL.Query().Get("lang")); ok {
		return tag
	}
	if cookie, err := r.Cookie(languageCookie); err == nil {
		if tag, ok := matchLanguage(cookie.Value); ok {
			return tag
		}
	}
	return acceptedLanguage(r.Header.Get("Accept-Language"))
}

func matchLanguage(tag string) (string, bool) {
	base, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
	base, _, _ = strings.Cut(base, "_")
	for _, l := range languages {
		if known, _, _ := strings.Cut(l.tag, "-"); base != "" && base == known {
			return l.tag, true
		}
	}
	return "", false
}

func acceptedLanguage(header string) string {
	best, bestQuality := english, 0.0
	for part := range strings.SplitSeq(header, ",") {
		tag, params, _ := strings.Cut(part, ";")
		quality := 1.0
		if q, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			quality, _ = strconv.ParseFloat(q, 64) // unreadable counts as 0
		}
		if known, ok := matchLanguage(tag); ok && quality > bestQuality {
			best, bestQuality = known, quality
		}
	}
	return best
}
