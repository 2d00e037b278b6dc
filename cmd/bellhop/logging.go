package main

import (
	"io"
	"os"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"bellhop/config"
	"bellhop/dispatcher/bus"
)

// newLogger makes the daemon's log: for people on a terminal, else one JSON object a line.
func newLogger(w io.Writer, o config.Log) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(o.Level)
	if err != nil {
		return nil, err
	}
	people := o.Format == "console" || o.Format == "auto" && terminal(w)
	var enc zapcore.Encoder
	if people {
		cfg := zap.NewDevelopmentEncoderConfig()
		cfg.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		cfg.EncodeLevel = zapcore.CapitalLevelEncoder
		if terminal(w) && os.Getenv("NO_COLOR") == "" {
			cfg.EncodeLevel = zapcore.CapitalColorLevelEncoder
		}
		enc = zapcore.NewConsoleEncoder(cfg)
	} else {
		cfg := zap.NewProductionEncoderConfig()
		cfg.EncodeTime = zapcore.RFC3339NanoTimeEncoder
		cfg.TimeKey = "time"
		enc = zapcore.NewJSONEncoder(cfg)
	}
	core := zapcore.NewCore(enc, zapcore.Lock(zapcore.AddSync(w)), level)
	return zap.New(core), nil
}

// serverLogger hands the embedded server's log on: its notices are of interest only to those who look for them.
func serverLogger(log *zap.Logger) func(bus.ServerLevel, string) {
	log = log.Named("nats-server")
	return func(level bus.ServerLevel, text string) {
		text = strings.TrimSpace(text)
		switch level {
		case bus.ServerError:
			log.Error(text)
		case bus.ServerWarning:
			log.Warn(text)
		case bus.ServerNotice:
			log.Debug(text)
		}
	}
}

// busLogger hands on what the connection has to say.
func busLogger(log *zap.Logger) func(string, error) {
	return func(text string, err error) {
		if err != nil {
			log.Warn(text, zap.Error(err))
			return
		}
		log.Info(text)
	}
}
