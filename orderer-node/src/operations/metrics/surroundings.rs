//! The process, its certificates, its disk.

use std::time::UNIX_EPOCH;

use super::families::{Families, Sample};
use crate::operations::{DiskSpace, Snapshot, health, readiness};

pub(super) fn render(families: &mut Families, snapshot: &Snapshot) {
    let version = &snapshot.node.client_side.version;
    families.gauge("fabric_version", "The version of this program.", [Sample::new(1).label("version", version)]);
    let started = snapshot.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    families.gauge(
        "process_start_time_seconds",
        "When the node started, in seconds since 1970.",
        [Sample::new(started)],
    );
    families.gauge(
        "process_resident_memory_bytes",
        "Memory in use.",
        snapshot.process.map(|process| Sample::new(process.resident_bytes)),
    );
    families.gauge(
        "process_open_fds",
        "Files and sockets open.",
        snapshot.process.map(|process| Sample::new(process.open_files)),
    );
    families.gauge("ordering_healthy", "1 if /healthz answers 200.", [Sample::holds(health(snapshot).is_empty())]);
    let ready = readiness(snapshot);
    families.gauge(
        "ordering_ready",
        "1 for each part of the node that /readyz finds ready.",
        ready.iter().map(|part| Sample::holds(part.ready).label("component", &part.component)),
    );
    let left = |end| Sample::new(snapshot.seconds_until(end));
    families.gauge(
        "ordering_certificate_expiry_seconds",
        "Seconds until a certificate of this node ends; negative if it has ended.",
        snapshot.certificates.iter().map(|it| left(it.not_after_unix_s).label("certificate", &it.name)),
    );
    families.gauge(
        "ordering_consenter_certificate_expiry_seconds",
        "Seconds until a certificate in a channel configuration ends.",
        snapshot.consenter_certificates.iter().map(|it| {
            let sample = left(it.not_after_unix_s).label("channel", &it.channel);
            sample.label("consenter", it.consenter).label("certificate", it.kind)
        }),
    );
    let levels = || snapshot.log.by_level().into_iter();
    families.counter(
        "logging_entries_checked",
        "Log entries of a level that some logger writes.",
        levels().map(|(level, checked, _)| Sample::new(checked).label("level", level)),
    );
    families.counter(
        "logging_entries_written",
        "Log entries written.",
        levels().map(|(level, _, written)| Sample::new(written).label("level", level)),
    );
    let mut disk = |names: [&str; 2], what: &str, room: Option<DiskSpace>| {
        let (free, total) =
            (format!("Bytes free on the disk of the {what}."), format!("Size of the disk of the {what} in bytes."));
        families.gauge(names[0], &free, room.map(|room| Sample::new(room.free_bytes)));
        families.gauge(names[1], &total, room.map(|room| Sample::new(room.total_bytes)));
    };
    disk(["ordering_disk_free_bytes", "ordering_disk_total_bytes"], "data folder", snapshot.disk);
    let of_journal = ["ordering_journal_disk_free_bytes", "ordering_journal_disk_total_bytes"];
    disk(of_journal, "journals, if it is another one", snapshot.journal_disk);
}
