package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"bellhop/dispatcher/rule"
)

// maxFolders bounds how deep folders of rule files may nest, which ends loops of symbolic links.
const maxFolders = 40

// ReadRules reads rule files: each path is a file, or a folder whose *.yaml and *.yml files are read recursively in the
// order of their names, hidden entries left out and symbolic links followed. A file reached twice is read once. Paths
// stay as given, so that positions are found from where the daemon was started. What cannot be read is a problem beside those that
// can, which are for ParseRules.
func ReadRules(paths []string) ([]rule.SourceFile, []rule.Problem) {
	r := reader{seen: map[string]bool{}}
	for _, p := range paths {
		r.path(p)
	}
	return r.files, r.problems
}

// reader collects rule files.
type reader struct {
	files    []rule.SourceFile
	problems []rule.Problem
	seen     map[string]bool // by resolved path, files and folders
}

// path reads a path that was named.
func (r *reader) path(path string) {
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.fault(path, "no such file or folder")
	case err != nil:
		r.fault(path, "cannot be read: %v", reason(err))
	case info.IsDir():
		r.folder(path, 1)
	default:
		r.file(path)
	}
}

// folder reads a folder's rule files.
func (r *reader) folder(path string, depth int) {
	if depth > maxFolders {
		r.fault(path, "folders nested more than %d deep", maxFolders)
		return
	}
	if r.again(path) {
		return
	}
	entries, err := os.ReadDir(path) // sorted by name
	if err != nil {
		r.fault(path, "cannot be read: %v", reason(err))
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // ..data and the like of a mounted ConfigMap, and editors' own files
		}
		child := filepath.Join(path, e.Name())
		mode := e.Type()
		if mode&fs.ModeSymlink != 0 {
			info, err := os.Stat(child)
			if err != nil {
				if isRuleFile(child) {
					r.fault(child, "cannot be read: %v", reason(err))
				}
				continue
			}
			mode = info.Mode().Type()
		}
		switch {
		case mode.IsDir():
			r.folder(child, depth+1)
		case isRuleFile(child) && mode.IsRegular():
			r.file(child)
		}
	}
}

// file reads one file.
func (r *reader) file(path string) {
	if r.again(path) {
		return
	}
	text, err := readBounded(path, maxFileSize)
	if err != nil {
		r.fault(path, "cannot be read: %v", reason(err))
		return
	}
	r.files = append(r.files, rule.SourceFile{Path: path, Text: text})
}

// again tells whether the path was reached before, by whatever name.
func (r *reader) again(path string) bool {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		real = path
	}
	if abs, err := filepath.Abs(real); err == nil {
		real = abs
	}
	if r.seen[real] {
		return true
	}
	r.seen[real] = true
	return false
}

// fault notes an error with a path as a whole.
func (r *reader) fault(path, format string, args ...any) {
	r.problems = append(r.problems, rule.Problem{
		Pos: rule.Pos{File: path, Line: 1, Column: 1}, Severity: rule.Error, Text: fmt.Sprintf(format, args...),
	})
}

// isRuleFile tells whether a file found in a folder is read.
func isRuleFile(path string) bool {
	ext := strings.ToLower(filepath.Ext(path))
	return ext == ".yaml" || ext == ".yml"
}

// readBounded reads a file of at most limit bytes. Named pipes and devices, which may never end, are refused.
func readBounded(path string, limit int64) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var text strings.Builder
	text.Grow(int(min(info.Size(), limit) + 1)) // files of megabytes are not copied about
	switch n, err := io.Copy(&text, io.LimitReader(f, limit+1)); {
	case err != nil:
		return "", err
	case n > limit:
		return "", tooLarge(limit)
	}
	return text.String(), nil
}

func tooLarge(limit int64) error { return fmt.Errorf("more than %d bytes", limit) }

// readAll reads to the end, or fails beyond limit bytes.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, tooLarge(limit)
	}
	return data, nil
}

// reason is the cause alone of a file system's error, without the operation and the path, which the caller gives.
func reason(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}
