package store

import "fmt"

// TooManyError says that more was found than may be handled at once.
type TooManyError struct{ Most int }

// Error implements error.
func (e *TooManyError) Error() string {
	return fmt.Sprintf("more than %d match: narrow the filter", e.Most)
}
