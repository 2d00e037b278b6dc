package event

import "testing"

// TestPlain holds the look at eight bytes at once against one at each.
func TestPlain(t *testing.T) {
	for c := range 256 {
		for at := range 8 {
			for _, filler := range []byte{'a', ' ', '!', '#', '[', ']', 0x7f, 0x80, 0xff} {
				b := [8]byte{filler, filler, filler, filler, filler, filler, filler, filler}
				b[at] = byte(c)
				want := c >= 0x20 && c != '"' && c != '\\'
				if got := plain(string(b[:])); got != want {
					t.Fatalf("plain(%q) = %v, want %v", b[:], got, want)
				}
			}
		}
	}
}
