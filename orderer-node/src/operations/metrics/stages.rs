//! What the process uses of its processors, and what for.

use frontend_shim::stages::StageReport;

use super::families::{Families, Sample};

/// What no stage claims is no series of its own: it is the difference, and a visit that is under way would make it fall.
pub(super) fn render(families: &mut Families, report: &StageReport) {
    let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
    families.counter(
        "process_cpu_seconds_total",
        "Processor time of the process, user and system.",
        [Sample::new(seconds(report.process_ns))],
    );
    families.summary(
        "ordering_stage_processor_seconds",
        "Processor time, user and system, in each stage of an envelope's way, and how often it was entered.",
        report.stages.iter().map(|used| {
            let labelled = |sample: Sample| sample.label("stage", &used.stage);
            (labelled(Sample::new(seconds(used.processor_ns))), labelled(Sample::new(used.entries)))
        }),
    );
}
