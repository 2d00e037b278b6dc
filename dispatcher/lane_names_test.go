package dispatcher

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"bellhop/config"
	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/rule"
)

// secretRules compiles rules one of whose endpoints has its host from a secret.
func secretRules(t *testing.T, endpoint string) InForce {
	t.Helper()
	defs, _ := config.ParseRules([]rule.SourceFile{{Path: "rules.yaml", Text: fmt.Sprintf("rules:\n- {name: r, on: a.b, webhooks: [{endpoint: %q}]}\n", endpoint)}})
	set, problems := rule.Compile(defs, rule.Options{
		Defaults: rule.Defaults{Timeout: time.Second, Encoding: "normalize"},
		Secret: func(name string, _ bool) (string, error) {
			return map[string]string{"HOST": "hidden.test", "ALL": "http://hidden.test/x"}[name], nil
		},
	})
	if set == nil {
		t.Fatalf("the rules do not compile: %v", problems)
	}
	return InForce{Set: set, Since: time.Now()}
}

// A lane whose host is a secret is shown by the secret's name, and held by word of another daemon that hides it too, whichever
// comes first: the word or the rules.
func TestLanesHideSecretHosts(t *testing.T) {
	const lane = "http://hidden.test:80"
	synctest.Test(t, func(t *testing.T) {
		for endpoint, name := range map[string]string{
			"http://${HOST}/x?y": "http://${HOST}", "http://${HOST}:80?y": "http://${HOST}:80", "${ALL}": "${ALL}", "${ALL}/y": "${ALL}",
			"http://hidden.test/${HOST}": lane, "http://hidden.test?${HOST}": lane,
		} {
			r := start(t, newMemBus(), &poster{answer: ok}, oneRule, nil)
			hidden := bus.LaneHold{Token: bus.LaneToken(lane, 0), Pause: true}
			r.Heed(hidden)
			if got := len(r.Lanes()); got != 0 {
				t.Errorf("%d lanes before any rule calls the held one", got)
			}
			r.SetRules(secretRules(t, endpoint))
			if got := r.LaneName(lane); got != name {
				t.Errorf("the lane of %s is shown as %s, want %s", endpoint, got, name)
			}
			if name == lane {
				continue
			}
			list := r.Lanes()
			if len(list) != 1 || list[0].Name != name || !list[0].Paused {
				t.Errorf("after a hold that came before the rules the lanes are %+v, want one that is paused", list)
			}
			if got, ok := r.LaneNamed(name); !ok || got != lane {
				t.Errorf("LaneNamed(%s) = %s, %v, want %s", name, got, ok, lane)
			}
			hidden.Pause = false
			r.Heed(hidden)
			if list := r.Lanes(); len(list) != 1 || list[0].Paused {
				t.Errorf("after it was resumed the lanes are %+v", list)
			}
			// Once it is written openly there is nothing to hide.
			r.SetRules(secretRules(t, "http://hidden.test/"))
			if got := r.LaneName(lane); got != lane {
				t.Errorf("the lane is shown as %s though the rules write it openly", got)
			}
		}
	})
}
