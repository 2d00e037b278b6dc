package main

import "testing"

func TestTally(t *testing.T) {
	var all tally
	all.count(10, arrived{Requests: 12, Distinct: 10, Duplicated: 2})
	if err := all.err(); err != nil || all != (tally{Deliveries: 10, Duplicated: 2}) {
		t.Errorf("what came twice: %+v, %v, want 2 duplicated and no error", all, err)
	}
	all.count(10, arrived{Requests: 9, Distinct: 9})
	if err := all.err(); err == nil || all.Lost != 1 {
		t.Errorf("one that did not come: %+v, %v, want 1 lost and an error", all, err)
	}
	all = tally{}
	all.count(3, arrived{Requests: 3, Distinct: 3, Unretried: 1})
	if err := all.err(); err == nil || err.Error() != "1 of 3 deliveries were lost" {
		t.Errorf("one that was not retried: %v, want an error", err)
	}
}
