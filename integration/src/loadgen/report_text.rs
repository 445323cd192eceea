//! A report as text.

use std::fmt;

use super::mix::Mix;
use super::percentiles::Percentiles;
use super::report::{ChannelRates, Conditions, Counts, ProcessCost, Report};
use super::stages::mean;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.conditions.fmt(f)?;
        let Self { counts, rates, machine, .. } = self;
        line(f, "window", &format!("{:.2} s after {} s of warm-up", self.window_s, self.conditions.warmup_s))?;
        line(f, "delivered", &format!("{:.0} envelopes/s", rates.delivered_per_s))?;
        line(f, "acknowledged", &format!("{:.0} envelopes/s", rates.acknowledged_per_s))?;
        line(
            f,
            "blocks",
            &format!("{:.1} blocks/s of {:.1} envelopes", rates.blocks_per_s, rates.envelopes_per_block),
        )?;
        for ChannelRates { channel, delivered_per_s, blocks_per_s } in
            self.channels.iter().filter(|_| self.channels.len() > 1)
        {
            line(f, channel, &format!("{delivered_per_s:.0} envelopes/s, {blocks_per_s:.1} blocks/s"))?;
        }
        line(f, "latency", &latencies(&self.latency))?;
        line(f, "acknowledgement", &latencies(&self.acknowledgement))?;
        line(f, "envelopes", &self.describe_counts())?;
        if !self.refusals.is_empty() {
            let refusals: Vec<_> = self.refusals.iter().map(|(status, count)| format!("{count} {status}")).collect();
            line(f, "refused", &refusals.join(", "))?;
        }
        if counts.copies > 0 {
            let Counts { copies, copies_acknowledged, .. } = counts;
            line(f, "sent again", &format!("{copies} envelopes, {copies_acknowledged} acknowledged"))?;
        }
        if counts.made_late > 0 {
            let text = format!("{} envelopes beforehand, {} while the load ran", counts.prepared, counts.made_late);
            line(f, "signed", &text)?;
        }
        for process in self.nodes.iter().chain([&self.loadgen]) {
            line(f, &process.name, &process.to_string())?;
        }
        if !self.stages.is_empty() {
            line(f, "stages", &self.describe_stages())?;
        }
        for name in &self.absent {
            line(f, name, "did not run, or not all the time")?;
        }
        let others = machine.processors_used_by_others.map_or("?".to_owned(), |used| format!("{used:.2}"));
        let before = machine.load_average_before.map_or("?".to_owned(), |load| format!("{load:.2}"));
        let text = format!(
            "{} processors, {others} of them busy with other things; load average before {before}",
            machine.processors
        );
        line(f, "machine", &text)?;
        if let Some(trouble) = &self.trouble {
            line(f, "last trouble", trouble)?;
        }
        let verdict = if self.failures.is_empty() { "none lost, none twice" } else { "FAILED" };
        line(f, "verdict", verdict)
    }
}

impl Report {
    /// What the users of `tape` look for.
    pub(super) fn last_line(&self) -> String {
        let (count, seconds) = (self.counts.delivered_in_window, self.window_s);
        format!("tx: {count}, duration: {seconds:.3} s, tps: {:.1}", self.rates.delivered_per_s)
    }

    /// Each stage as the mean over the processes that tell, those that cost anything.
    fn describe_stages(&self) -> String {
        let of: Vec<_> = self.stages.iter().collect();
        let costs = mean(&of).into_iter().filter(|cost| cost.us_per_envelope >= 0.05);
        let costs: Vec<_> = costs.map(|cost| format!("{} {:.1}", cost.stage, cost.us_per_envelope)).collect();
        format!("{} us/envelope, mean over {} processes", costs.join(", "), of.len())
    }

    fn describe_counts(&self) -> String {
        let Counts { sent, sent_measured, acknowledged, delivered, .. } = self.counts;
        let mut text =
            format!("{sent} sent ({sent_measured} measured), {acknowledged} acknowledged, {delivered} delivered");
        let rare = [
            (self.counts.refused, "refused"),
            (self.counts.unanswered, "unanswered"),
            (self.counts.left_out, "left out"),
            (self.counts.lost, "LOST"),
            (self.counts.repeated, "delivered TWICE"),
            (self.counts.foreign, "of others"),
        ];
        for (count, what) in rare.into_iter().filter(|(count, _)| *count > 0) {
            text += &format!(", {count} {what}");
        }
        text
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, "orderer", &self.orderer)?;
        let payload = if self.payload_bytes == 0 || self.frontends_inside > 0 {
            String::new()
        } else {
            format!("{} B payload, ", self.payload_bytes)
        };
        line(f, "envelope", &format!("{payload}{:.0} B encoded; {}", self.envelope_bytes, self.signatures))?;
        if let Some(Mix { signed, unsigned, duplicate }) = self.mix {
            let text = format!("{signed} % as they should be, {unsigned} % unsigned, {duplicate} % sent again");
            line(f, "mix", &text)?;
        }
        line(f, "verification", &self.verification)?;
        let blocks = match (self.block_envelopes_max, self.block_timeout_ms) {
            (Some(count), Some(timeout_ms)) => format!("up to {count} envelopes, or after {timeout_ms} ms"),
            _ => "not known to the load generator".to_owned(),
        };
        line(f, "block size", &blocks)?;
        line(f, "durability", &self.durability)?;
        if let Some(instances) = self.instances_open_max {
            line(f, "window alpha", &instances.to_string())?;
        }
        let place = if self.frontends_inside > 0 { "frontends inside the load generator" } else { "frontends" };
        let ways = format!("{} streams to {} {place}, {} receivers", self.streams, self.frontends, self.receivers);
        line(f, "load", &format!("{}; {ways}", self.pace))
    }
}

impl fmt::Display for ProcessCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |value: Option<f64>| value.map_or("?".to_owned(), |us| format!("{us:.1}"));
        let (total, user, system) = (self.cpu_us_per_envelope, self.user_us_per_envelope, self.system_us_per_envelope);
        write!(f, "{} CPU us/envelope ({} user + {} system), ", us(total), us(user), us(system))?;
        write!(
            f,
            "{:.2} processors, {:.0} MiB (at most {:.0})",
            self.processors, self.resident_mib, self.resident_max_mib
        )
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    writeln!(f, "{name:<16} {text}")
}

fn latencies(of: &Percentiles) -> String {
    let Percentiles { p50_ms, p90_ms, p99_ms, p999_ms, max_ms, count, .. } = of;
    format!("p50 {p50_ms:.1} p90 {p90_ms:.1} p99 {p99_ms:.1} p99.9 {p999_ms:.1} max {max_ms:.1} ms (n = {count})")
}

/// A row for each of several loads that differ in their rate.
pub(super) fn table_of_rates(reports: &[Report]) -> String {
    let mut text = format!(
        "{:>9} {:>11} {:>9} {:>9} {:>9} {:>12} {:>12}  {}\n",
        "rate /s", "delivered/s", "p50 ms", "p99 ms", "max ms", "us/env node", "us/env load", "verdict"
    );
    for report in reports {
        let us = |cost: Option<f64>| cost.map_or("?".to_owned(), |us| format!("{us:.1}"));
        let Percentiles { p50_ms, p99_ms, max_ms, .. } = report.latency;
        text += &format!(
            "{:>9} {:>11.0} {p50_ms:>9.1} {p99_ms:>9.1} {max_ms:>9.1} {:>12} {:>12}  {}\n",
            report.conditions.rate_per_s.unwrap_or_default(),
            report.rates.delivered_per_s,
            us(report.node_cost()),
            us(report.loadgen.cpu_us_per_envelope),
            if report.failures.is_empty() { "none lost, none twice" } else { "FAILED" },
        );
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn report(more: &str) -> Report {
        let conditions = r#""orderer": "o", "nodes": 4, "payload_bytes": 200, "envelope_bytes": 900.0, "signatures": "s",
            "verification": "v", "block_envelopes_max": 10, "block_timeout_ms": 500, "durability": "d",
            "instances_open_max": 1, "frontends": 4, "streams": 4, "receivers": 1, "pace": "p", "rate_per_s": 500,
            "outstanding_per_stream": null, "warmup_s": 1.0"#;
        let percentiles = r#"{"count": 9, "p50_ms": 1.5, "p90_ms": 2.0, "p99_ms": 3.5, "p999_ms": 4.0, "max_ms": 5.0, "mean_ms": 1.6}"#;
        let process = r#""pid": 1, "processors": 0.5, "cpu_us_per_envelope": 12.5, "user_us_per_envelope": 10.0,
            "system_us_per_envelope": 2.5, "resident_mib": 20.0, "resident_max_mib": 30.0"#;
        let counts = r#""sent": 1100, "sent_measured": 1000, "acknowledged": 1100, "delivered": 1100,
            "refused": 3, "unanswered": 0, "left_out": 0, "lost": 0, "repeated": 0, "foreign": 0, "reopened": 0,
            "prepared": 1, "made_late": 0"#;
        let text = format!(
            r#"{{"conditions": {{{conditions}}}, "window_s": 2.0, "counts": {{{counts}, "delivered_in_window": 1000}},
            "rates": {{"acknowledged_per_s": 500.0, "delivered_per_s": 500.0, "blocks_per_s": 50.0, "envelopes_per_block": 10.0}},
            "latency": {percentiles}, "acknowledgement": {percentiles}, "nodes": [{{"name": "o1", {process}}}],
            "absent": [], "loadgen": {{"name": "loadgen", {process}}},
            "machine": {{"processors": 2, "load_average_before": 0.5, "processors_used_by_others": 0.1}},
            "failures": [], "trouble": null {more}}}"#
        );
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    #[test]
    fn a_report_of_an_earlier_version_is_still_read() {
        let report = report("");
        assert!(report.timeline.is_empty() && report.conditions.mix.is_none());
        assert!(report.to_string().contains("1100 sent (1000 measured), 1100 acknowledged, 1100 delivered, 3 refused"));
    }

    #[test]
    fn the_last_line_is_that_of_tape() {
        assert_eq!(report("").last_line(), "tx: 1000, duration: 2.000 s, tps: 500.0");
    }

    #[test]
    fn refusals_and_channels_are_named() {
        let text = report(
            r#", "refusals": {"FORBIDDEN": 3}, "channels": [
            {"channel": "one", "delivered_per_s": 300.0, "blocks_per_s": 30.0},
            {"channel": "two", "delivered_per_s": 200.0, "blocks_per_s": 20.0}]"#,
        )
        .to_string();
        for line in ["refused          3 FORBIDDEN", "two              200 envelopes/s, 20.0 blocks/s"] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn each_rate_has_a_row() {
        let table = table_of_rates(&[report(""), report("")]);
        let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_ascii_whitespace().collect()).collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[1][..7], ["500", "500", "1.5", "3.5", "5.0", "12.5", "12.5"]);
    }
}
