package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"bellhop/dispatcher/delivery"
)

// outside records what a client asks the world for, and lets nothing through.
type outside struct {
	mu      sync.Mutex
	answers []string // to the lookups, one after the other, the last for good; each of addresses parted by spaces
	looked  []string
	dialled []string
}

func (o *outside) lookup(_ context.Context, host string) ([]netip.Addr, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.looked = append(o.looked, host)
	if len(o.answers) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var addrs []netip.Addr
	for a := range strings.FieldsSeq(o.answers[0]) {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	if len(o.answers) > 1 {
		o.answers = o.answers[1:]
	}
	return addrs, nil
}

func (o *outside) dial(_ context.Context, _, addr string) (net.Conn, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dialled = append(o.dialled, addr)
	return nil, errors.New("nothing goes out of this test")
}

func (o *outside) options(allow ...string) ClientOptions {
	return ClientOptions{AllowNetworks: append([]netip.Prefix{}, prefixes(allow...)...), Lookup: o.lookup, Dial: o.dial}
}

// forbiddenHosts are spellings of addresses that are not to be called, by why not.
var forbiddenHosts = map[string][]string{
	"loopback": append([]string{
		"１２７.０.０.１", "127。0。0。1", "127．0．0．1", "①②⑦.⓪.⓪.①", "%31%32%37.0.0.1", "127%2e0%2E0.1", "0X7F.0.0.1", "0x7f.0.0.01", "0177.1", "127.255.255.254.",
		"[::1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::127.0.0.1]", "[::FFFF:127.0.0.1]", "[::ffff:0:127.0.0.1]", "[64:FF9B::7f00:1]", "[2002:7F00:0001::]",
		"x.localhost", "localhost.", "LOCALHOST.", "a.b.localhost.",
	}, loopbackSpellings...),
	"private": {
		"10.0.0.1", "10.1", "0xa000001", "167772161", "012.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.1", "0xc0a80001", "3232235521", "１９２.１６８.０.１",
		"[::ffff:10.0.0.1]", "[::ffff:a00:1]", "[::10.0.0.1]", "[64:ff9b::10.0.0.1]", "[64:ff9b::c0a8:1]", "[64:ff9b:1::a00:1]", "[2002:a00:1::1]",
	},
	"link-local":        {"169.254.0.1", "169.254.1", "0xa9fe0001", "[fe80::1]", "[FE80::5efe:10.0.0.1]", "[febf::1]", "[::ffff:169.254.0.1]", "[64:ff9b::169.254.0.1]"},
	"carrier-grade NAT": {"100.64.0.1", "100.127.255.255", "0x64400001", "[::ffff:100.64.0.1]", "[64:ff9b::6440:1]"},
	"benchmarking":      {"198.18.0.1", "198.19.255.255", "[::ffff:198.18.0.1]"},
	"multicast":         {"224.0.0.1", "239.255.255.255", "[ff02::1]", "[::ffff:224.0.0.1]"},
	"reserved":          {"0.0.0.1", "240.0.0.1", "192.0.0.1", "[::2]", "[::8.8.8.8]", "[4000::1]", "[5f00::1]"},
	"broadcast":         {"255.255.255.255", "4294967295", "0xffffffff", "037777777777"},
	"unspecified":       {"0.0.0.0", "0", "00", "0x0", "0x", "0.0", "[::]", "[::0.0.0.0]", "[::ffff:0.0.0.0]"},
	"unique-local":      {"[fc00::1]", "[fd12:3456::1]"},
	"site-local":        {"[fec0::1]"},
	"documentation":     {"192.0.2.1", "198.51.100.1", "203.0.113.1", "[2001:db8::1]", "[3fff::1]"},
	"Teredo":            {"[2001::1]", "[2001:0:808:808::f7f7:f7f7]"},
	"cloud metadata": {
		"169.254.169.254", "169.254.43518", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "025177524776", "１６９.２５４.１６９.２５４", "169.254.169.254.", "169。254。169。254",
		"[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[::169.254.169.254]", "[::ffff:0:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::a9fe:a9fe]", "[64:ff9b:1:a9fe:a9:fe00::]",
		"[2002:a9fe:a9fe::]", "[2001:0:a9fe:a9fe::]", "[2001:0:808:808:0:0:5601:5601]",
		"169.254.170.2", "0xa9feaa02", "[::ffff:169.254.170.2]", "100.100.100.200", "0x646464c8", "[64:ff9b::100.100.100.200]",
		"168.63.129.16", "0xa83f8110", "[::ffff:168.63.129.16]", "[64:ff9b::168.63.129.16]", "[fd00:ec2::254]", "[FD00:0EC2:0:0:0:0:0:254]",
	},
}

func TestPostBlocksEverySpelling(t *testing.T) {
	for reason, hosts := range forbiddenHosts {
		for _, host := range hosts {
			for _, scheme := range []string{"http", "https"} {
				for _, port := range []string{"", ":8080"} {
					world := &outside{answers: []string{"93.184.216.34"}} // what a resolver says of it must not matter
					res := post(t, newClient(t, world.options()), scheme+"://"+host+port+"/")
					wantErr(t, "Post to "+scheme+"://"+host+port, res, delivery.KindBlocked, "("+reason+")")
					if len(world.looked)+len(world.dialled) > 0 {
						t.Errorf("for %s %q was looked up and %q dialled", host, world.looked, world.dialled)
					}
				}
			}
		}
	}
}

// Cloud metadata is allowed only where it is listed by itself, whatever else is.
func TestPostBlocksMetadataUnlessListed(t *testing.T) {
	all := []string{"0.0.0.0/0", "::/0", "169.254.0.0/16", "169.254.169.0/24", "fd00::/8", "64:ff9b::/96", "2002::/16", "168.63.129.16/31", "100.64.0.0/10"}
	for _, host := range forbiddenHosts["cloud metadata"] {
		world := &outside{}
		wantErr(t, "Post to "+host+" with everything allowed", post(t, newClient(t, world.options(all...)), "http://"+host), delivery.KindBlocked, "cloud metadata")
		if len(world.dialled) > 0 {
			t.Errorf("%q was dialled", world.dialled)
		}
	}
	for _, host := range []string{"169.254.169.254", "0xa9fea9fe", "[::ffff:169.254.169.254]"} {
		world := &outside{}
		res := post(t, newClient(t, world.options("169.254.169.254/32")), "http://"+host)
		wantErr(t, "Post to "+host+" where it is listed", res, delivery.KindNetwork, "")
		if want := "169.254.169.254:80"; len(world.dialled) != 1 || world.dialled[0] != want {
			t.Errorf("for %s %q was dialled, want %s", host, world.dialled, want)
		}
	}
	world := &outside{}
	wantErr(t, "Post to another metadata address", post(t, newClient(t, world.options("169.254.169.254/32")), "http://169.254.170.2"), delivery.KindBlocked, "cloud metadata")
}

// A name is blocked whole where one of its addresses is.
func TestPostBlocksNamesWhole(t *testing.T) {
	for _, addrs := range []string{
		"127.0.0.1", "93.184.216.34 10.0.0.1", "10.0.0.1 93.184.216.34", "2606:4700::1111 ::1", "93.184.216.34 2606:4700::1111 fe80::1%eth0",
		"::ffff:192.168.0.1", "93.184.216.34 64:ff9b::7f00:1", "2002:a00:1::1", "2001::1", "0.0.0.0", "::", "::ffff:0.0.0.0", "169.254.169.254", "93.184.216.34 168.63.129.16",
	} {
		for _, scheme := range []string{"http", "https"} {
			world := &outside{answers: []string{addrs}}
			wantErr(t, "Post to a name for "+addrs, post(t, newClient(t, world.options()), scheme+"://crm.example.com/"), delivery.KindBlocked, "is not allowed")
			if len(world.dialled) > 0 {
				t.Errorf("of %s %q was dialled", addrs, world.dialled)
			}
		}
	}
}

// What was looked up and checked is what is dialled: a name that changes meanwhile is not asked again.
func TestPostDialsWhatItChecked(t *testing.T) {
	world := &outside{answers: []string{"93.184.216.34", "127.0.0.1"}}
	c := newClient(t, world.options())
	wantErr(t, "Post to a name that changes", post(t, c, "http://crm.example.com/"), delivery.KindNetwork, "")
	if got := fmt.Sprint(world.looked, world.dialled); got != "[crm.example.com] [93.184.216.34:80]" {
		t.Errorf("lookups and dials are %s, want one of each, of the address that was checked", got)
	}
	wantErr(t, "Post to a name that has changed", post(t, c, "http://crm.example.com/"), delivery.KindBlocked, "address 127.0.0.1")
	if n := len(world.dialled); n != 1 {
		t.Errorf("%q was dialled", world.dialled)
	}
	// Numbers that are no address in any spelling are names; what they resolve to is judged as of any other.
	for _, host := range []string{"256.1.1.1", "08.0.0.1", "127.0.0.256", "4294967296", "127.0.0.1.example.com", "1.2.3.4.5", "0xg", "127.65536.1"} {
		world := &outside{answers: []string{"127.0.0.1"}}
		wantErr(t, "Post to "+host, post(t, newClient(t, world.options()), "http://"+host), delivery.KindBlocked, "address 127.0.0.1")
		if len(world.looked) != 1 || len(world.dialled) > 0 {
			t.Errorf("for %s %q was looked up and %q dialled", host, world.looked, world.dialled)
		}
	}
}

// What the operator allows is called, in every spelling, and nothing beside it.
func TestPostCallsWhatIsAllowed(t *testing.T) {
	for _, tt := range []struct{ allow, host, dialled string }{
		{"10.0.0.0/8", "10.1.2.3", "10.1.2.3:80"},
		{"10.0.0.0/8", "0xa010203", "10.1.2.3:80"},
		{"10.0.0.0/8", "[::ffff:10.1.2.3]", "10.1.2.3:80"},
		{"10.0.0.0/8", "10.66051", "10.1.2.3:80"},
		{"10.0.0.0/8", "[64:ff9b::10.1.2.3]", ""},
		{"10.0.0.0/8", "11.0.0.1", "11.0.0.1:80"},
		{"10.0.0.0/8", "192.168.0.1", ""},
		{"127.0.0.1/32", "localhost.", "127.0.0.1:80"},
		{"127.0.0.1/32", "127.0.0.2", ""},
		{"::1/128", "[::1]", "[::1]:80"},
		{"::1/128", "127.0.0.1", ""},
		{"fd00::/8", "[fd00::1]", "[fd00::1]:80"},
		{"fd00::/8", "[fd00:ec2::254]", ""},
	} {
		world := &outside{}
		res := post(t, newClient(t, world.options(tt.allow)), "http://"+tt.host)
		kind := delivery.KindNetwork
		if tt.dialled == "" {
			kind = delivery.KindBlocked
		}
		wantErr(t, "Post to "+tt.host+" where "+tt.allow+" is allowed", res, kind, "")
		if got := strings.Join(world.dialled, " "); got != tt.dialled {
			t.Errorf("for %s where %s is allowed %q is dialled, want %q", tt.host, tt.allow, got, tt.dialled)
		}
	}
}

// A connection that net/http makes anew, as it does for HTTP/2, is checked as the first one was: the name may have changed.
func TestPostChecksConnectionsMadeAnew(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		s, pool := newTLSServer(t, http2, func(http.ResponseWriter, *http.Request) {})
		world := &outside{answers: []string{"127.0.0.1", "10.0.0.1"}}
		dials := 0
		c := newClient(t, ClientOptions{RootCAs: pool, Lookup: world.lookup, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials++; dials > 1 {
				return world.dial(ctx, network, addr)
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		}})
		_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
		target := "https://example.com:" + port + "/"
		wantOK(t, fmt.Sprintf("Post to a name that is loopback, HTTP/2 %v", http2), post(t, c, target))
		s.CloseClientConnections()
		c.Close() // of what is idle
		var res Response
		for range 100 {
			// The first may find out that the connection is gone.
			if res = post(t, c, target); res.Err == nil || res.Err.Kind != delivery.KindNetwork {
				break
			}
		}
		wantErr(t, fmt.Sprintf("Post to the name once it is private, HTTP/2 %v", http2), res, delivery.KindBlocked, "address 10.0.0.1")
		if len(world.dialled) > 0 {
			t.Errorf("%q was dialled", world.dialled)
		}
	}
}
