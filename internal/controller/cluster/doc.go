// Package cluster runs the bridge from the Registries of a Kubernetes API server: it reads them, reports back in their status, and lets
// only one of several replicas work.
//
//	             ┌──────────────── every replica ────────────────┐  ┌──────────── the leader ─────────────┐
//	Registries ─▶ cache ─▶ reconciler ─▶ controller.Controller ─▶ sources, engine ─▶ output (lease checked)
//	Lease      ─▶ election ────────────────────────────────────▶ starts and ends all of the right side
//	freeze     ─▶ cache ─▶ reconciler ─▶ engine.Config.Frozen
//	                                         status, conditions, events ◀─ engine.State
//
// What a Registry means is the business of package controller; nothing here decides what is true or what is written.
package cluster
