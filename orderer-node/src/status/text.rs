//! The report for a person at a terminal: what runs, who leads, who is missing, what was seen.

use std::fmt::Write as _;

use frontend_shim::counters::FrontendCounters;
use frontend_shim::status::StatusReport;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::OrderingReport;
use crate::operations::{CertificateEnd, Component, DiskSpace};

/// What of the section `block_catch_up` is shown.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Missing {
    channels: Vec<MissingBlocks>,
}

#[derive(Deserialize)]
struct MissingBlocks {
    channel: String,
    from: u64,
    to: u64,
}

/// The report of a node, or of a frontend in a process of its own, in lines.
#[must_use]
pub fn text(report: &StatusReport) -> String {
    let mut out = format!("version {}\n", report.version);
    for complaint in &report.complaints {
        line(&mut out, format_args!("NOT HEALTHY: {complaint}"));
    }
    show_surroundings(&mut out, report);
    show_channels(&mut out, report);
    for ordering in section::<OrderingReport>(report, "ordering") {
        show_group(&mut out, &ordering);
    }
    for missing in section::<Missing>(report, "block_catch_up").iter().flat_map(|missing| &missing.channels) {
        line(
            &mut out,
            format_args!("channel {}: blocks {} to {} are being fetched", missing.channel, missing.from, missing.to),
        );
    }
    for group in section::<String>(report, "resting_groups") {
        line(&mut out, format_args!("group {group} rests: it orders no channel of this node any more"));
    }
    for frontend in section::<FrontendCounters>(report, "frontends") {
        show_frontend(&mut out, &frontend);
    }
    show_clients(&mut out, report);
    out
}

/// What is not as it should be comes first; what is well is one line.
fn show_surroundings(out: &mut String, report: &StatusReport) {
    for part in section::<Component>(report, "readiness") {
        for reason in &part.reasons {
            line(out, format_args!("NOT READY: {}: {reason}", part.component));
        }
    }
    let mut ends = section::<CertificateEnd>(report, "certificates");
    ends.sort_by_key(|end| end.seconds_left);
    for end in ends.iter().filter(|end| end.seconds_left < EXPIRY_WARNING_S) {
        match u64::try_from(end.seconds_left) {
            Ok(left) => line(out, format_args!("CERTIFICATE {} ends in {}", end.name, duration(left * 1000))),
            Err(_) => line(out, format_args!("CERTIFICATE {} HAS ENDED", end.name)),
        }
    }
    let disk = report.sections.get("disk").and_then(|disk| DiskSpace::deserialize(disk).ok());
    if let Some(disk) = disk {
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        line(out, format_args!("disk: {:.1} of {:.1} GiB free", gib(disk.free_bytes), gib(disk.total_bytes)));
    }
}

fn show_channels(out: &mut String, report: &StatusReport) {
    if report.channels.is_empty() {
        line(out, format_args!("no channels"));
    }
    for channel in &report.channels {
        let waiting = channel.height.saturating_sub(channel.certified_height);
        let waiting = if waiting > 0 { format!(", {waiting} more not certified yet") } else { String::new() };
        line(
            out,
            format_args!(
                "channel {}: {}, {} blocks{waiting}, config sequence {}",
                channel.id, channel.state, channel.certified_height, channel.config_sequence
            ),
        );
    }
}

fn show_group(out: &mut String, group: &OrderingReport) {
    let name = group.group.get(..8).unwrap_or(&group.group);
    line(out, format_args!("group {name} orders {}", group.channels.join(", ")));
    line(out, format_args!("  {}", group.settings));
    let begun = if group.is_synced { "" } else { ", which has not begun" };
    line(out, format_args!("  regency {}{begun}, led by {}", group.regency, called(group, group.leader)));
    if let Some(change) = &group.regency_change {
        line(out, format_args!("  last change of regency {} ago: {}", duration(change.age_ms), change.reason));
    }
    let progress =
        group.progress_age_ms.map_or_else(|| "none since the start".to_owned(), |age| format!("{} ago", duration(age)));
    line(out, format_args!("  instance {}, last progress {progress}", group.delivered));
    let oldest = group.pending_age_ms.map(|age| format!(", the oldest for {}", duration(age))).unwrap_or_default();
    line(out, format_args!("  {} requests ({} bytes) wait{oldest}", group.pending_requests, group.pending_bytes));
    if !group.has_quorum {
        line(out, format_args!("  NO QUORUM: too few of the others are linked"));
    }
    if group.is_silent {
        line(out, format_args!("  SILENT: the disk was lost, and the others have not readmitted this replica yet"));
    }
    if group.is_transferring {
        line(out, format_args!("  taking over the state of the others"));
    }
    for member in &group.members {
        let marks = [
            (member.is_us, "this node"),
            (member.replica == group.leader, "leader"),
            (!member.is_us && !member.is_linked, "NOT LINKED"),
        ];
        let marks: Vec<&str> = marks.iter().filter(|(holds, _)| *holds).map(|(_, mark)| *mark).collect();
        let marks = if marks.is_empty() { String::new() } else { format!(": {}", marks.join(", ")) };
        line(out, format_args!("  node {} at {}{marks}", member.id, member.address));
    }
    for seen in &group.misbehaviour {
        line(out, format_args!("  FAULT: {}: {} ({} times)", called(group, seen.replica), seen.what, seen.count));
    }
}

fn show_frontend(out: &mut String, frontend: &FrontendCounters) {
    line(
        out,
        format_args!(
            "frontend: {} bytes not acknowledged yet, {} acknowledged, {} refused under load, {} timed out",
            frontend.submitted_bytes,
            frontend.envelopes_held,
            frontend.envelopes_overloaded,
            frontend.envelopes_timed_out
        ),
    );
    for node in &frontend.nodes {
        let faults = [
            (node.wrong_signatures, "bad signatures"),
            (node.wrong_headers, "mismatching blocks"),
            (node.wrong_bodies, "wrong bodies"),
            (node.silent_bodies, "bodies that did not come"),
            (node.garbage, "garbled messages"),
        ];
        let faults: Vec<_> =
            faults.iter().filter(|(count, _)| *count > 0).map(|(n, what)| format!("{n} {what}")).collect();
        if !node.connected || node.lagging || !faults.is_empty() {
            let state = match (node.connected, node.lagging) {
                (false, _) => "no session",
                (true, true) => "late",
                (true, false) => "in session",
            };
            let seen: Vec<&str> = [state].into_iter().chain(faults.iter().map(String::as_str)).collect();
            line(out, format_args!("  {}: {}", node.name, seen.join(", ")));
        }
    }
}

fn show_clients(out: &mut String, report: &StatusReport) {
    let counters = &report.counters;
    let answered: Vec<_> =
        counters.broadcast.iter().filter(|(_, n)| **n > 0).map(|(status, n)| format!("{n} {status}")).collect();
    let answered = if answered.is_empty() { "none".to_owned() } else { answered.join(", ") };
    let streams = counters.deliver_streams_opened.saturating_sub(counters.deliver_streams_closed);
    let connections = counters.connections_opened.saturating_sub(counters.connections_closed);
    line(
        out,
        format_args!(
            "clients: {connections} connections, {streams} Deliver streams; envelopes answered: {answered}; blocks sent: {}",
            counters.blocks_sent
        ),
    );
}

/// A node by its consenter id, or by its replica number if no configuration tells.
fn called(group: &OrderingReport, replica: u16) -> String {
    match group.member(replica) {
        Some(member) => format!("node {} at {}", member.id, member.address),
        None => format!("replica {replica}"),
    }
}

/// The entries of a section that can be read. A frontend by itself has few of them.
fn section<T: DeserializeOwned>(report: &StatusReport, name: &str) -> Vec<T> {
    let entries = report.sections.get(name).and_then(serde_json::Value::as_array).into_iter().flatten();
    entries.filter_map(|entry| serde_json::from_value(entry.clone()).ok()).collect()
}

/// Certificates that end sooner are named: thirty days.
const EXPIRY_WARNING_S: i64 = 30 * 86_400;

fn duration(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        10_000..600_000 => format!("{} s", ms / 1000),
        600_000..36_000_000 => format!("{} min", ms / 60_000),
        36_000_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} days", ms / 86_400_000),
    }
}

/// Writing to a string cannot fail.
fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use frontend_shim::counters::NodeCounters;
    use serde_json::json;

    use super::*;

    fn report() -> StatusReport {
        serde_json::from_value(json!({
            "version": "1.2.3",
            "complaints": ["channel b: no more blocks are collected: a fork"],
            "channels": [
                { "id": "a", "state": "open", "height": 9, "certified_height": 7, "tip": null, "config_sequence": 3 },
            ],
            "counters": {
                "broadcast": { "SUCCESS": 5, "FORBIDDEN": 0 }, "deliver_streams_opened": 4, "deliver_streams_closed": 1,
                "blocks_sent": 12, "connections_opened": 3, "connections_closed": 1,
            },
            "sections": {
                "ordering": [{
                    "group": "0123456789abcdef", "channels": ["a"], "replica": 0, "regency": 4, "is_synced": true, "leader": 1,
                    "regency_change": { "reason": "the leader was too slow", "age_ms": 61_000 },
                    "delivered": 40, "progress_age_ms": 1_250, "pending_requests": 2, "pending_bytes": 300,
                    "pending_age_ms": 700_000, "has_quorum": false,
                    "members": [
                        { "replica": 0, "id": 1, "address": "n1:7050", "is_us": true },
                        { "replica": 1, "id": 2, "address": "n2:7050", "is_linked": true },
                        { "replica": 2, "id": 3, "address": "n3:7050" },
                    ],
                    "misbehaviour": [{ "replica": 2, "what": "voted twice", "count": 8 }],
                }],
                "readiness": [
                    { "component": "disk", "ready": true },
                    { "component": "channel b", "ready": false, "reasons": ["it is closed"] },
                ],
                "certificates": [
                    { "name": "tls", "seconds_left": 864_000 }, { "name": "signing", "seconds_left": -1 },
                    { "name": "cluster", "seconds_left": 90 * 86_400 },
                ],
                "disk": { "free_bytes": 5_u64 << 30, "total_bytes": 10_u64 << 30 },
                "block_catch_up": [{ "channels": [{ "channel": "a", "from": 7, "to": 8 }] }],
                "frontends": [frontend()],
            },
        }))
        .unwrap()
    }

    fn frontend() -> FrontendCounters {
        let node = |name: &str| NodeCounters { name: name.to_owned(), connected: true, ..NodeCounters::default() };
        let liar = NodeCounters { wrong_signatures: 3, wrong_headers: 2, ..node("node 3 at n3:7050") };
        let late = NodeCounters { lagging: true, ..node("node 2 at n2:7050") };
        let nodes = vec![node("node 1 at n1:7050"), late, liar];
        FrontendCounters { nodes, envelopes_held: 5, ..FrontendCounters::default() }
    }

    #[test]
    fn everything_an_operator_asks_for_stands_in_a_line() {
        let shown = text(&report());
        for expected in [
            "version 1.2.3",
            "NOT HEALTHY: channel b: no more blocks are collected: a fork",
            "NOT READY: channel b: it is closed",
            "CERTIFICATE signing HAS ENDED",
            "CERTIFICATE tls ends in 10 days",
            "disk: 5.0 of 10.0 GiB free",
            "channel a: open, 7 blocks, 2 more not certified yet, config sequence 3",
            "group 01234567 orders a",
            "  regency 4, led by node 2 at n2:7050",
            "  last change of regency 61 s ago: the leader was too slow",
            "  instance 40, last progress 1.2 s ago",
            "  2 requests (300 bytes) wait, the oldest for 11 min",
            "  NO QUORUM: too few of the others are linked",
            "  node 1 at n1:7050: this node",
            "  node 2 at n2:7050: leader",
            "  node 3 at n3:7050: NOT LINKED",
            "  FAULT: node 3 at n3:7050: voted twice (8 times)",
            "channel a: blocks 7 to 8 are being fetched",
            "frontend: 0 bytes not acknowledged yet, 5 acknowledged, 0 refused under load, 0 timed out",
            "  node 2 at n2:7050: late",
            "  node 3 at n3:7050: in session, 3 bad signatures, 2 mismatching blocks",
            "clients: 2 connections, 3 Deliver streams; envelopes answered: 5 SUCCESS; blocks sent: 12",
        ] {
            assert!(shown.lines().any(|line| line == expected), "{expected:?} is missing in\n{shown}");
        }
        assert!(!shown.contains("cluster"), "a certificate that is good for long is named");
    }

    #[test]
    fn a_report_without_sections_is_shown_as_well() {
        let mut bare = report();
        bare.sections.clear();
        bare.channels.clear();
        assert!(text(&bare).contains("no channels\n"));
    }
}
