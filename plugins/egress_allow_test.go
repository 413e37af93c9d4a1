package plugins_test

import (
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
)

func TestWhatEgressAllowNamesIsReachedAndNothingElse(t *testing.T) {
	names := startNameServer(t)
	var one, two atomic.Int32
	at1 := "127.0.0.1:" + listen(t, "127.0.0.1", &one, nil)
	at2 := "127.0.0.2:" + listen(t, "127.0.0.2", &two, nil)
	port1, port2 := at1[len("127.0.0.1:"):], at2[len("127.0.0.2:"):]
	names.set("friend.test", "127.0.0.1")
	names.set("foe.test", "127.0.0.1")
	all := diallers(t, names)
	for _, test := range []struct {
		allow, host string
		permitted   bool
	}{
		{"127.0.0.1", at1, true},
		{"127.0.0.1", at2, false},
		{"127.0.0.1", "[::ffff:127.0.0.1]:" + port1, true},
		{"127.0.0.1", "friend.test:" + port1, true},
		{"127.0.0.0/8", at2, true},
		{"127.0.0.2/31", at2, true},
		{"127.0.0.2/31", at1, false},
		{"::ffff:127.0.0.0/104", at1, true},
		{"friend.test", "friend.test:" + port1, true},
		{"FRIEND.TEST.", "friend.test:" + port1, true},
		{"friend.test", "foe.test:" + port1, false},
		{"friend.test", at1, false},
		{"10.0.0.0/8", at1, false},
		{"::1", at1, false},
		{"127.0.0.2", "127.0.0.2.:" + port2, false}, // no resolver knows that name, and nothing is dialled; but see whatwg
	} {
		for _, d := range all {
			t.Run(d.name+" to "+test.host[:strings.LastIndexByte(test.host, ':')]+" with "+strings.ReplaceAll(test.allow, "/", " of "), func(t *testing.T) {
				before := one.Load() + two.Load()
				err := d.open(t, test.allow)(t, "http://"+test.host+"/")
				permitted := test.permitted || d.whatwg && strings.HasPrefix(test.host, test.allow+".:")
				if reached := one.Load()+two.Load() > before; reached != permitted || !permitted && err == nil {
					t.Errorf("reached: %t, want %t (%v)", reached, permitted, err)
				}
			})
		}
	}
}

func TestEachSpecialAddressIsPermittedByItsNameAlone(t *testing.T) {
	for _, address := range special { // by the guard's own verdict: nothing is dialled
		e := guard(t, address)
		if !permits(e, address) {
			t.Errorf("egress.allow names %s, which is not permitted", address)
		}
		if next := netip.MustParseAddr(address).Next(); next.IsValid() && permits(e, next.String()) && !permits(guard(t), next.String()) {
			t.Errorf("egress.allow names %s, which permits %s", address, next)
		}
	}
}

func TestANameThatChangesItsAddressIsCheckedAtEveryDial(t *testing.T) {
	names := startNameServer(t)
	for _, d := range diallers(t, names) {
		t.Run(d.name, func(t *testing.T) {
			var allowed, forbidden atomic.Int32
			port := listen(t, "127.0.0.2", &allowed, nil)
			listenAt(t, "127.0.0.1:"+port, &forbidden, nil)
			names.set("rebinds.test", "127.0.0.2", "127.0.0.1")
			names.set("both.test", "127.0.0.1 127.0.0.2")
			try := d.open(t, "127.0.0.2")
			first := try(t, "http://rebinds.test:"+port+"/")
			if allowed.Load() == 0 {
				t.Errorf("before it changes: got %v", first)
			}
			if err := try(t, "http://rebinds.test:"+port+"/"); err == nil || !strings.Contains(err.Error(), "egress.allow") {
				t.Errorf("after it has changed: got %v, want it refused", err)
			}
			before := allowed.Load()
			if err := try(t, "http://both.test:"+port+"/"); allowed.Load() == before {
				t.Errorf("of two addresses, the permitted one is not reached: %v", err)
			}
			if n := forbidden.Load(); n != 0 {
				t.Errorf("%d connections were made to the address that is not permitted", n)
			}
		})
	}
}

func TestNoPluginFollowsARedirectIntoTheOperatorsOwnNetwork(t *testing.T) {
	names := startNameServer(t)
	var allowed, forbidden atomic.Int32
	target := "127.0.0.1:" + listen(t, "127.0.0.1", &forbidden, nil)
	ports := make(map[int]string)
	for _, status := range []int{301, 302, 303, 307, 308} {
		ports[status] = listen(t, "127.0.0.2", &allowed, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "http://"+target+"/", status) })
	}
	for _, d := range diallers(t, names) {
		try := d.open(t, "127.0.0.2")
		for status, port := range ports {
			before := allowed.Load()
			if err := try(t, "http://127.0.0.2:"+port+"/"); err == nil || allowed.Load() == before {
				t.Errorf("%s, %d: got %v", d.name, status, err)
			}
		}
	}
	if n := forbidden.Load(); n != 0 {
		t.Errorf("%d connections were made to where the redirects lead", n)
	}
}
