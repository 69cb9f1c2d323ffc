// Documentserver is a server of a registry of one's own: it answers every request with the file document.json of a folder, with an ETag. A
// file named fault beside it says how it goes wrong instead.
//
//	documentserver ADDRESS FOLDER
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: documentserver ADDRESS FOLDER")
		os.Exit(2)
	}
	server := &http.Server{Addr: os.Args[1], Handler: folder(os.Args[2]), ReadHeaderTimeout: 10 * time.Second}
	fmt.Fprintln(os.Stderr, "documentserver:", server.ListenAndServe())
	os.Exit(1)
}

// folder serves the document in a folder.
type folder string

// ServeHTTP implements http.Handler.
func (f folder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := os.ReadFile(filepath.Join(string(f), "document.json"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fault, err := os.ReadFile(filepath.Join(string(f), "fault"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	switch string(fault) {
	case "":
		f.answer(w, r, body)
	case "500":
		http.Error(w, "no database", http.StatusInternalServerError)
	case "HTML":
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintln(w, "<html>Sign in</html>")
	case "empty body":
		w.Header().Set("Content-Type", "application/json")
	case "truncated":
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body[:len(body)/2])
		panic(http.ErrAbortHandler)
	case "truncated with its own length":
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body[:len(body)/2])
	default:
		http.Error(w, "unknown fault", http.StatusNotImplemented)
	}
}

// answer sends the document unless the client has it.
func (f folder) answer(w http.ResponseWriter, r *http.Request, body []byte) {
	sum := sha256.Sum256(body)
	etag := `"` + hex.EncodeToString(sum[:8]) + `"`
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}
