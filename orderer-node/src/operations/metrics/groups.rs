//! Each ordering group: regency, progress, what waits, what was executed, its journal.

use super::families::{Families, Sample};
use crate::operations::health::short;
use crate::status::{GroupReport, JournalReport, OrderingReport};

pub(super) fn render(families: &mut Families, groups: &[GroupReport]) {
    standing(families, groups);
    waiting(families, groups);
    faults(families, groups);
    votes(families, groups);
    execution(families, groups);
    journal(families, groups);
}

fn standing(families: &mut Families, groups: &[GroupReport]) {
    let each = |sample: &dyn Fn(&OrderingReport) -> Sample| by_group(groups, &|group| Some(sample(&group.ordering)));
    let some = |value: &dyn Fn(&OrderingReport) -> Option<f64>| {
        by_group(groups, &|group| value(&group.ordering).map(Sample::new))
    };
    families.gauge("ordering_replicas", "Nodes in the group.", each(&|it| Sample::new(it.replicas)));
    families.gauge(
        "ordering_window",
        "Decisions that may be under way at once.",
        each(&|it| Sample::new(it.settings.window())),
    );
    families.gauge(
        "ordering_tentative",
        "1 if blocks are signed before they are decided, on channels whose policy allows it.",
        each(&|it| Sample::holds(it.settings.is_tentative())),
    );
    families.gauge(
        "ordering_has_quorum",
        "1 if this node is linked with so many others that they are a quorum.",
        each(&|it| Sample::holds(it.has_quorum)),
    );
    families.gauge("ordering_regency", "The regency this node is in.", each(&|it| Sample::new(it.regency)));
    families.gauge(
        "ordering_regency_begun",
        "0 while the leader of the regency has not begun it.",
        each(&|it| Sample::holds(it.is_synced)),
    );
    families.gauge("ordering_is_leader", "1 if this node leads.", each(&|it| Sample::holds(it.leader == it.replica)));
    families.counter(
        "ordering_regency_changes",
        "Regencies that began, by the reason this node had to leave the one before.",
        groups.iter().flat_map(|group| {
            let ordering = &group.ordering;
            let reasons = ordering.regency_changes.iter();
            reasons.map(|(reason, count)| of_group(Sample::new(count), ordering).label("reason", reason))
        }),
    );
    families.gauge(
        "ordering_silent",
        "1 while this node lost its disk and has not been readmitted.",
        each(&|it| Sample::holds(it.is_silent)),
    );
    families.gauge(
        "ordering_transferring",
        "1 while this node takes over the state of the others.",
        each(&|it| Sample::holds(it.is_transferring)),
    );
    families.gauge("ordering_instance", "The last instance delivered here.", each(&|it| Sample::new(it.delivered)));
    families.gauge(
        "ordering_instance_claimed",
        "The highest instance that another node claims to have delivered.",
        each(&|it| Sample::new(it.highest_claimed)),
    );
    families.gauge(
        "ordering_stable_checkpoint",
        "The newest instance whose state a quorum has signed.",
        some(&|it| it.stable_checkpoint.map(|instance| instance as f64)),
    );
    families.gauge(
        "ordering_progress_age_seconds",
        "Seconds since something was delivered here; an idle group is old and well.",
        some(&|it| it.progress_age_ms.map(seconds)),
    );
}

fn waiting(families: &mut Families, groups: &[GroupReport]) {
    let each = |sample: &dyn Fn(&OrderingReport) -> Sample| by_group(groups, &|group| Some(sample(&group.ordering)));
    families.gauge(
        "ordering_requests_waiting",
        "Requests that this node holds and has acknowledged, and that are not ordered yet.",
        each(&|it| Sample::new(it.pending_requests)),
    );
    families.gauge(
        "ordering_requests_waiting_bytes",
        "Bytes of the requests that wait.",
        each(&|it| Sample::new(it.pending_bytes)),
    );
    families.gauge(
        "ordering_request_age_seconds",
        "How long the request that waits longest has waited; 0 if none waits.",
        each(&|it| Sample::new(it.pending_age_ms.map_or(0.0, seconds))),
    );
    families.gauge("ordering_sessions", "Frontends connected.", each(&|it| Sample::new(it.sessions)));
    families.counter(
        "ordering_requests_refused",
        "Requests of frontends that were not taken.",
        each(&|it| Sample::new(it.requests_refused)),
    );
}

fn faults(families: &mut Families, groups: &[GroupReport]) {
    families.counter(
        "ordering_misbehaviour",
        "What no correct node does, by the consenter id of the node that did it.",
        groups.iter().flat_map(|group| {
            let ordering = &group.ordering;
            ordering.misbehaviour.iter().map(|seen| {
                let sample = of_group(Sample::new(seen.count), ordering);
                node(sample, ordering, seen.replica).label("what", &seen.what)
            })
        }),
    );
}

/// Only the others' votes arrive.
fn votes(families: &mut Families, groups: &[GroupReport]) {
    let members = groups.iter().map(|group| &group.ordering).flat_map(|ordering| {
        let others = ordering.members.iter().filter(|member| !member.is_us);
        others.map(move |member| (ordering, member))
    });
    families.summary(
        "ordering_vote_delay_seconds",
        "How long after the first vote of its kind in an instance the votes of each node arrived here.",
        members.map(|(ordering, member)| {
            let labelled = |sample| of_group(sample, ordering).label("node", member.id);
            (labelled(Sample::new(member.vote_delay_us as f64 / 1e6)), labelled(Sample::new(member.votes)))
        }),
    );
}

fn execution(families: &mut Families, groups: &[GroupReport]) {
    let each = |value: &dyn Fn(&GroupReport) -> u64| by_group(groups, &|group| Some(Sample::new(value(group))));
    families.counter("ordering_decisions", "Decisions executed.", each(&|it| it.execution.decisions));
    families.counter("ordering_requests_ordered", "Requests in them.", each(&|it| it.execution.requests));
    families.counter("ordering_blocks_cut", "Blocks cut.", each(&|it| it.execution.blocks));
    families.counter("ordering_envelopes_ordered", "Envelopes in blocks.", each(&|it| it.execution.envelopes));
    families.counter(
        "ordering_envelopes_duplicate",
        "Envelopes left out of blocks because they had been ordered before.",
        each(&|it| it.execution.duplicates),
    );
    families.counter(
        "ordering_envelopes_skipped",
        "Envelopes and commands left out of blocks for another reason.",
        each(&|it| it.execution.skipped),
    );
    families.counter(
        "ordering_blocks_fetched",
        "Blocks that were missing here and came from other nodes.",
        each(&|it| it.catch_up.blocks),
    );
}

fn journal(families: &mut Families, groups: &[GroupReport]) {
    let each =
        |value: &dyn Fn(&JournalReport) -> u64| by_group(groups, &|group| Some(Sample::new(value(&group.journal))));
    families.summary(
        "ordering_journal_sync_seconds",
        "How long the journal waited for the disk.",
        groups.iter().map(|group| {
            let (ordering, journal) = (&group.ordering, &group.journal);
            let total = of_group(Sample::new(journal.sync_total_us as f64 / 1e6), ordering);
            (total, of_group(Sample::new(journal.syncs), ordering))
        }),
    );
    families.gauge(
        "ordering_journal_sync_last_seconds",
        "How long the last wait was.",
        by_group(groups, &|group| Some(Sample::new(group.journal.sync_last_us as f64 / 1e6))),
    );
    families.counter("ordering_journal_commits", "Commits of the journal.", each(&|it| it.commits));
    families.counter("ordering_journal_records", "Records in the journal.", each(&|it| it.records));
    families.counter("ordering_journal_bytes", "Bytes in the journal.", each(&|it| it.bytes));
    families.counter(
        "ordering_journal_damage",
        "Records and checkpoints that could not be read for other nodes.",
        each(&|it| it.damage),
    );
}

fn by_group(groups: &[GroupReport], sample: &dyn Fn(&GroupReport) -> Option<Sample>) -> Vec<Sample> {
    groups.iter().filter_map(|group| Some(of_group(sample(group)?, &group.ordering))).collect()
}

/// The group's label.
pub(super) fn of_group(sample: Sample, ordering: &OrderingReport) -> Sample {
    sample.label("group", short(&ordering.group))
}

/// The label of a node: its consenter id, or its replica number if no configuration tells.
pub(super) fn node(sample: Sample, ordering: &OrderingReport, replica: u16) -> Sample {
    match ordering.member(replica) {
        Some(member) => sample.label("node", member.id),
        None => sample.label("node", format_args!("replica {replica}")),
    }
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
