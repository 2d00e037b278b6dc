package main

import (
	"errors"
	"io"
	stdlog "log"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"

	"bellhop/cmd/internal/profile"
	"bellhop/config"
)

func newServeCmd(a *app) *cobra.Command {
	var profiles string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon",
		Long: `Serve runs the daemon until SIGTERM or Ctrl-C: it takes events from NATS JetStream, matches them against the rule files,
delivers webhooks, and publishes every outcome. Without any configuration it runs its own JetStream server on
127.0.0.1:4222, reads rules from ./rules and keeps its files in ./data.

SIGHUP reads the rule files again; a change of them is found without it. A first SIGTERM stops cleanly, for at most
shutdown_timeout; a second one at once. Either way nothing is lost.

Every key of the configuration is a flag here, and an environment variable: nats.url is --nats.url and BELLHOP_NATS__URL.`,
		Example: `  bellhop serve
  bellhop serve --config /etc/bellhop/bellhop.yaml
  bellhop serve --nats.url nats://bus.example.com:4222 --rules ./rules`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			loaded, err := a.load()
			if err != nil {
				return a.configError(err)
			}
			log, err := newLogger(a.stderr, loaded.Settings.Log)
			if err != nil {
				return err
			}
			defer func() { _ = log.Sync() }()
			for _, w := range loaded.Warnings {
				log.Warn("configuration: " + w.String())
			}
			defer runtime.KeepAlive(ballast())
			pages.always()
			if profiles != "" {
				stop, failed := profile.Start(profiles)
				if failed != nil {
					return failed
				}
				defer func() { err = errors.Join(err, stop()) }()
			}
			own, err := loadLaneTLS(&loaded.Settings)
			if err != nil {
				return a.configError(err)
			}
			// net/http logs by itself what a receiver sent out of turn: that is not for this log.
			stdlog.SetOutput(io.Discard)
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			d := &daemon{
				settings: &loaded.Settings, log: log, hup: hup, tls: own,
				defaultRules: loaded.Origin("rules") == (config.Origin{}),
			}
			return d.run(cmd.Context())
		},
	}
	config.RegisterFlags(cmd.Flags())
	cmd.Flags().SortFlags = false
	// For those who work on Bellhop's speed; it costs some itself.
	cmd.Flags().StringVar(&profiles, "profile", "", "write profiles of the whole run to this `FOLDER` at its end")
	_ = cmd.Flags().MarkHidden("profile")
	return cmd
}
