// Package monitoring tests what the chart gives to Prometheus and Grafana: the alerts fire and resolve, every query of alerts and
// dashboard finds series in a bridge that runs, and every alert has a runbook.
package monitoring
