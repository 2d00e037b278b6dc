package main

import (
	"errors"
	"flag"
	"fmt"
	"runtime"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// serverHello says where the server is.
type serverHello struct {
	URL string `json:"url"`
}

// serverCommand asks what the server has allocated.
type serverCommand struct{}

type serverMemory struct {
	Alloc uint64 `json:"alloc"`
}

// runServer is the server's process: a nats-server with JetStream on files, as it is without any configuration.
func runServer(args []string) error {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	dir := flags.String("dir", "", "folder of the streams")
	profiles := flags.String("profile", "", "folder for profiles")
	if err := flags.Parse(args); err != nil {
		return usageError{err}
	}
	if *dir == "" {
		return usageError{errors.New("server: -dir is missing")}
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "bench", Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: *dir, NoSigs: true, NoLog: true,
		MaxPayload: 8 << 20, JetStreamMaxMemory: -1, JetStreamMaxStore: -1,
	})
	if err != nil {
		return fmt.Errorf("nats-server: %w", err)
	}
	go s.Start()
	defer func() {
		s.Shutdown()
		s.WaitForShutdown()
	}()
	if !s.ReadyForConnections(30*time.Second) || !s.JetStreamEnabled() {
		return errors.New("nats-server: not ready within 30 s")
	}
	return part[serverCommand]{
		hello: serverHello{URL: s.ClientURL()}, profile: *profiles,
		answer: func(serverCommand) (any, error) {
			var mem runtime.MemStats
			runtime.ReadMemStats(&mem)
			return serverMemory{Alloc: mem.TotalAlloc}, nil
		},
	}.run()
}
