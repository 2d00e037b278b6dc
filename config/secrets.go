package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"bellhop/dispatcher/rule"
)

const (
	secretPrefix  = "BELLHOP_SECRET_" // of the environment variables that rule files may read
	maxSecretSize = 64 << 10          // bytes
)

// Secrets resolves what rule files write as ${NAME} and ${file:name}: the environment variable BELLHOP_SECRET_NAME by
// lookup (os.LookupEnv), and the file name in dir, one trailing newline cut. Nothing else of the environment or the disk
// can be reached. Values are read anew at every call, so that a changed secret is in force with the next load. Errors
// name the variable or file, never a value.
func Secrets(dir string, lookup func(string) (string, bool)) rule.SecretFunc {
	return func(name string, file bool) (string, error) {
		if file {
			return secretFile(dir, name)
		}
		variable := secretPrefix + name
		value, ok := lookup(variable)
		if !ok {
			return "", fmt.Errorf("the environment variable %s is not set", variable)
		}
		return value, nil
	}
}

// secretFile reads a file of the secrets' folder. Links are followed as long as they stay in it, as those do with which
// Kubernetes swaps a mounted secret.
func secretFile(dir, name string) (string, error) {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00") {
		return "", fmt.Errorf("secret file %q: a file's plain name in secrets_dir belongs here", name)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("secret file %q: secrets_dir %s does not exist", name, dir)
		}
		return "", fmt.Errorf("secret file %q: secrets_dir %s: %w", name, dir, reason(err))
	}
	defer root.Close()
	info, err := root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("secret file %q does not exist in %s", name, dir)
	case err != nil:
		return "", fmt.Errorf("secret file %q in %s: %w", name, dir, reason(err))
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("secret file %q in %s is not a regular file", name, dir)
	}
	f, err := root.Open(name)
	if err != nil {
		return "", fmt.Errorf("secret file %q in %s: %w", name, dir, reason(err))
	}
	defer f.Close()
	data, err := readAll(f, maxSecretSize)
	if err != nil {
		return "", fmt.Errorf("secret file %q in %s: %w", name, dir, reason(err))
	}
	text, cut := strings.CutSuffix(string(data), "\r\n")
	if !cut {
		text = strings.TrimSuffix(text, "\n")
	}
	return text, nil
}
