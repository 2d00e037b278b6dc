package api

import (
	"encoding/json"
	"time"
)

// Status is the answer of GET StatusPath.
type Status struct {
	Node         string      `json:"node"`
	Version      string      `json:"version"`
	Started      time.Time   `json:"started"`
	Ready        bool        `json:"ready"`
	Reason       string      `json:"reason,omitempty"`
	RulesVersion string      `json:"rules_version,omitempty"`
	Bus          BusStatus   `json:"bus"`
	Backlog      Backlog     `json:"backlog"`
	Projection   Projection  `json:"projection"`
	Store        StoreStatus `json:"store"`
}

// BusStatus is the daemon's connection.
type BusStatus struct {
	Address   string `json:"address"`
	Connected bool   `json:"connected"`
	Schedules bool   `json:"schedules"`
}

// Backlog is what the whole cluster has yet to do.
type Backlog struct {
	Events  uint64 `json:"events"`
	Held    uint64 `json:"held"`
	Pending uint64 `json:"pending"`
}

// Projection says how far the counts have come.
type Projection struct {
	Sequence uint64    `json:"sequence"`
	Last     uint64    `json:"last"`
	Lag      uint64    `json:"lag"`
	Since    time.Time `json:"since"`
	Indexed  uint64    `json:"indexed"`
	Error    string    `json:"error,omitempty"`
}

// StoreStatus is the store's file.
type StoreStatus struct {
	Size int64 `json:"size"`
}

// Daemon is one of those that share the work.
type Daemon struct {
	Node         string    `json:"node"`
	Version      string    `json:"version"`
	Started      time.Time `json:"started"`
	Ready        bool      `json:"ready"`
	RulesVersion string    `json:"rules_version,omitempty"`
	InFlight     int       `json:"in_flight"`
	Self         bool      `json:"self"`
}

// DaemonList is the answer of GET DaemonsPath.
type DaemonList struct {
	Items    []Daemon `json:"items"`
	Complete bool     `json:"complete"`
}

// Diff is the answer of GET DiffPath.
type Diff struct {
	From  uint64     `json:"from"`
	To    uint64     `json:"to"`
	Files []FileDiff `json:"files"`
}

// FileDiff is what changed in one rule file, as a unified diff.
type FileDiff struct {
	Path string `json:"path"`
	Diff string `json:"diff"`
}

// TryRequest is the body of POST TryPath.
type TryRequest struct {
	Seq   uint64          `json:"seq,omitempty"`
	Type  string          `json:"type,omitempty"`
	Event json.RawMessage `json:"event,omitempty"`
}

// TryResult is its answer.
type TryResult struct {
	Type         string `json:"type"`
	RulesVersion string `json:"rules_version,omitempty"`
	Items        any    `json:"items"`
}
