package template

import "strings"

// Suspect is a variable that is likely a typo.
type Suspect struct {
	Name   string // as written, without the @ and braces
	Offset int    // in bytes, of the @ in the text
	// Meant is the nearest name of the catalogue, a path that begins with the nearest entity, or a name in braces with the
	// text behind it: {course_code}.pdf.
	Meant string
}

// Suspects lists the variables that the catalogue does not know but nearly does, in their order, for lint. It is a guess:
// any such name may be a field of an event's own. What stands inside a word is passed over as part of an e-mail address.
func (t *Template) Suspects() []Suspect {
	var found []Suspect
	for i := range t.parts {
		p := &t.parts[i]
		if p.path == nil || p.entity || p.inWord {
			continue
		}
		if meant := nearest(p.path); meant != "" {
			found = append(found, Suspect{Name: strings.Join(p.path, "."), Offset: p.offset, Meant: meant})
		}
	}
	return found
}

// nearest names what the path was likely meant to be, "" where nothing is near.
func nearest(path []string) string {
	name := strings.ToLower(strings.Join(path, "."))
	// @event.type for @event_type, @user_email for @email.
	if joined := strings.ReplaceAll(name, ".", "_"); len(path) > 1 && short[joined] != nil {
		return joined
	}
	if rest, ok := strings.CutPrefix(name, "user_"); ok && short[rest] != nil {
		for _, n := range catalogue {
			if n.Name == rest && strings.HasPrefix(n.Reads[0], "user.") {
				return rest
			}
		}
	}
	if len(path) > 1 && short[path[0]] != nil {
		// The short names are no objects: what follows the dot was meant for text.
		return "{" + path[0] + "}." + strings.Join(path[1:], ".")
	}
	first := strings.ToLower(path[0])
	best, meant := tolerance+1, ""
	consider := func(candidate, instead string) {
		if d := distance(first, candidate); d < best && d <= allowed(first, candidate) {
			best, meant = d, instead
		}
	}
	if len(path) == 1 {
		for _, n := range catalogue {
			consider(n.Name, n.Name)
		}
	}
	for _, entity := range entities {
		consider(entity, strings.Join(append([]string{entity}, path[1:]...), "."))
	}
	return meant
}

// tolerance is the greatest distance at which a name still is near another.
const tolerance = 2

// allowed is the distance at which the two are still near: short names that are fields of an event's own are easily one
// edit away from a name of the catalogue, and two edits that begin with the first letter make another word.
func allowed(a, b string) int {
	switch n := max(len(a), len(b)); {
	case n < 4:
		return 0
	case n < 8 || a[:1] != b[:1]:
		return 1
	}
	return tolerance
}

// distance counts the insertions, deletions, substitutions and swaps of neighbours between two names (Damerau and
// Levenshtein's, each stretch edited once). It gives more than tolerance without counting where the lengths tell.
func distance(a, b string) int {
	if abs(len(a)-len(b)) > tolerance {
		return tolerance + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func abs(n int) int { return max(n, -n) }
