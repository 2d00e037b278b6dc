package config

import "strings"

// nearest is the known name that an unknown one was most likely meant to be, "" where none is near.
func nearest(name string, known []string) string {
	best, least := "", max(1, len(name)/3)+1
	for _, k := range known {
		if squash(k) == squash(name) {
			return k
		}
		if d := distance(name, k, least); d < least {
			best, least = k, d
		}
	}
	return best
}

// squash removes what people vary in spelling a name: case and the character between words.
func squash(name string) string {
	return strings.NewReplacer("-", "", "_", "", ".", "", " ", "").Replace(strings.ToLower(name))
}

// distance is the number of edits (insert, delete, replace, swap neighbours) between a and b, or most if it is not less.
func distance(a, b string, most int) int {
	x, y := []rune(strings.ToLower(a)), []rune(b)
	if len(x)-len(y) >= most || len(y)-len(x) >= most || len(x) > 100 {
		return most
	}
	before, row, next := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		next[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return min(row[len(y)], most)
}

// unknownKey is the text for a key that is not known, with what it may have been meant to be.
func unknownKey(name string, known []string) string {
	text := "unknown key " + quote(name)
	if k := nearest(name, known); k != "" {
		return text + ", did you mean " + k + "?"
	}
	return text + "; known are " + strings.Join(known, ", ")
}
