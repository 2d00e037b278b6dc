package endpoint

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bellhop/internal/testkit"
)

// The receiver of the benchmarks runs in a process of its own, this one started again: what it costs is not counted.
const receiverEnv = "BELLHOP_TEST_RECEIVER"

// receive answers every request on a port of loopback's, which it says on its standard output, until its standard input ends.
func receive() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(os.Stdout, l.Addr().String()+"\n")
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go answerAll(conn)
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// answerAll does as little for a request as can be done.
func answerAll(conn net.Conn) {
	defer conn.Close()
	br := bufio.NewReader(conn)
	for {
		length := 0
		for {
			line, err := br.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) == 2 {
				break
			}
			if v, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
				length, _ = strconv.Atoi(strings.TrimSpace(v))
			}
		}
		if _, err := br.Discard(length); err != nil {
			return
		}
		if _, err := io.WriteString(conn, okAnswer); err != nil {
			return
		}
	}
}

func startReceiver(b *testing.B) string {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), receiverEnv+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// BenchmarkClients compares the two ways to POST, with 256 workers and one receiver.
func BenchmarkClients(b *testing.B) {
	const workers = 256
	addr := startReceiver(b)
	r := Request{
		URL: mustParse(b, "http://"+addr+"/hooks/course done"), Timeout: 10 * time.Second,
		Body: []byte("student=Ada+Lovelace&course=Engines&score=84.50&when=2026-05-04T08%3A00%3A00Z"),
		Headers: []Header{
			{"Content-Type", "application/x-www-form-urlencoded"}, {"User-Agent", "bellhop/test"}, {"webhook-id", "6542cfa7f9e18b4be62dd7ed0c75ebd9"},
			{"webhook-timestamp", "1777881600"}, {"webhook-attempt", "1"},
		},
	}
	for _, way := range []string{"direct", "net-http"} {
		b.Run(way, func(b *testing.B) {
			c := newClient(b, ClientOptions{Workers: workers, PerEndpoint: workers})
			if way == "net-http" {
				c.direct = nil
			}
			jobs := make(chan struct{}, workers)
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for range jobs {
						if res := c.Post(b.Context(), r); res.Err != nil {
							b.Error(res.Err)
						}
					}
				})
			}
			b.ReportAllocs()
			b.ResetTimer()
			before := testkit.CPUTime(b)
			for range b.N {
				jobs <- struct{}{}
			}
			close(jobs)
			wg.Wait()
			b.ReportMetric(float64(testkit.CPUTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}
