package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// pageFiles are what browsers load. There is no build step: a change to one of them is in force with the next build of the
// program.
//
//go:embed page
var pageFiles embed.FS

// shells are the addresses at which the page shows something. Its script tells them apart.
var shells = []string{
	"/{$}", "/deliveries", "/deliveries/{id}", "/pending", "/rules", "/rules/{name}", "/versions", "/endpoints", "/try",
}

// assetTypes are the media types of what is embedded, whatever the machine's own table says.
var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	"": "text/plain; charset=utf-8",
}

// page serves what browsers show. But for the badge it holds no data of deliveries: it is served before anybody has signed in.
func (s *Server) page(mux *http.ServeMux) {
	assets := loadAssets()
	for _, pattern := range shells {
		mux.Handle("GET "+pattern, assets["index.html"])
	}
	mux.Handle("GET "+widgetPath, assets["widget.html"])
	for name, a := range assets {
		if path.Ext(name) != ".html" {
			mux.Handle("GET /assets/"+name, a)
		}
	}
	mux.HandleFunc("GET "+badgePath, s.badge)
}

// asset is one embedded file, as it is served.
type asset struct {
	body, kind, tag string
}

// loadAssets reads what is embedded, by its path.
func loadAssets() map[string]asset {
	assets := map[string]asset{}
	root, err := fs.Sub(pageFiles, "page")
	if err == nil {
		err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			body, err := fs.ReadFile(root, name)
			if err != nil {
				return err
			}
			if path.Ext(name) == ".js" && !strings.HasPrefix(name, "vendor/") {
				body = []byte(lean(string(body)))
			}
			sum := sha256.Sum256(body)
			assets[name] = asset{body: string(body), kind: assetTypes[path.Ext(name)], tag: `"` + hex.EncodeToString(sum[:8]) + `"`}
			return nil
		})
	}
	if err != nil {
		panic("console: embedded files: " + err.Error()) // they are part of the program
	}
	return assets
}

// lean drops what a script has for its readers: indentation, and lines that are comments. Lines keep their numbers.
func lean(script string) string {
	lines := strings.Split(script, "\n")
	for i, line := range lines {
		line = strings.TrimLeft(line, "\t")
		if strings.HasPrefix(line, "//") {
			line = ""
		}
		lines[i] = line
	}
	return strings.Join(lines, "\n")
}

// ServeHTTP answers with the file, or with 304 where the browser has it. Browsers ask each time, so that the page of a new
// version never meets a script of an old one.
func (a asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", a.tag)
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(a.body))
}
