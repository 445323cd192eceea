//! What each stage costs, as this process tells it. Each test uses stages of its own, for the table is one for the process.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use frontend_shim::stages::{Stage, StageFigures, StageReport};
use futures::stream::{self, StreamExt as _};
use nix::time::{ClockId, clock_gettime};

/// Processor time that this thread has used.
fn used() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap())
}

/// Uses so much processor time, however often the thread is interrupted.
fn spin(time: Duration) {
    let end = used() + time;
    while used() < end {
        std::hint::spin_loop();
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn figures(report: &StageReport, stage: Stage) -> &StageFigures {
    report.stages.iter().find(|figures| figures.stage == stage.name()).unwrap()
}

/// So much, and some milliseconds for what a busy machine charges to whoever runs.
fn assert_used(report: &StageReport, stage: Stage, expected: Duration) {
    let used = Duration::from_nanos(figures(report, stage).processor_ns);
    assert!(used >= expected && used < expected + ms(10), "{}: {used:?}, expected {expected:?}", stage.name());
}

#[test]
fn time_in_a_nested_stage_is_not_time_in_the_one_around_it() {
    let before = StageReport::now();
    Stage::Order.within(|| {
        spin(ms(20));
        Stage::SignVote.within(|| spin(ms(30)));
        spin(ms(10));
        let _again = Stage::Order.enter();
        spin(ms(5));
    });
    spin(ms(10));
    let used = StageReport::now().since(&before);
    assert_used(&used, Stage::Order, ms(35));
    assert_used(&used, Stage::SignVote, ms(30));
    assert_eq!((figures(&used, Stage::Order).entries, figures(&used, Stage::SignVote).entries), (2, 1));
    let claimed = used.stages.iter().map(|stage| stage.processor_ns).sum::<u64>();
    assert!(claimed <= used.process_ns, "{used:?}");
    assert!(used.other_ns() >= 9_000_000, "what no stage claims is told too: {used:?}");
}

#[test]
fn waiting_in_a_stage_costs_nothing_and_a_panic_leaves_it() {
    let before = StageReport::now();
    Stage::Journal.within(|| std::thread::sleep(ms(100)));
    // To print a panic would cost time in the stage.
    let panicked =
        std::panic::catch_unwind(|| Stage::Journal.within(|| std::panic::resume_unwind(Box::new("a mistake"))));
    assert!(panicked.is_err());
    spin(ms(20));
    let used = StageReport::now().since(&before);
    assert_eq!(figures(&used, Stage::Journal).entries, 2);
    assert!(figures(&used, Stage::Journal).processor_ns < 15_000_000, "{used:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_task_is_followed_from_thread_to_thread_and_charged_for_its_polls_alone() {
    let before = StageReport::now();
    let task = |_| {
        tokio::spawn(Stage::Relay.follow(async {
            for _ in 0..10 {
                spin(ms(1));
                Stage::Seal.within(|| spin(ms(1)));
                tokio::time::sleep(ms(1)).await;
            }
            tokio::task::yield_now().await;
        }))
    };
    for task in (0..4).map(task).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let used = StageReport::now().since(&before);
    assert_used(&used, Stage::Relay, ms(40));
    assert_used(&used, Stage::Seal, ms(40));
    assert!(figures(&used, Stage::Relay).entries >= 44, "one for each poll: {used:?}");
}

#[tokio::test]
async fn a_stream_is_followed_and_gives_what_it_gave_before() {
    let before = StageReport::now();
    let items = stream::iter(0..3).map(|item| {
        spin(ms(2));
        item
    });
    let items: Vec<_> = Stage::Deliver.follow_stream(items).collect().await;
    let used = StageReport::now().since(&before);
    assert_eq!(items, [0, 1, 2]);
    assert_used(&used, Stage::Deliver, ms(6));
}

#[test]
fn a_difference_of_two_reports_is_told_for_each_envelope_with_what_no_stage_claims() {
    let report = |cut_ns, process_ns| StageReport {
        process_ns,
        stages: vec![StageFigures { stage: "cut".to_owned(), processor_ns: cut_ns, entries: cut_ns / 1000 }],
    };
    let used = report(9_000, 30_000).since(&report(1_000, 10_000));
    assert_eq!((used.clone(), used.other_ns()), (report(8_000, 20_000), 12_000));
    assert_eq!(used.us_per(4), [("cut".to_owned(), 2.0), ("other".to_owned(), 3.0)]);
    let text = serde_json::to_string(&used).unwrap();
    assert_eq!(serde_json::from_str::<StageReport>(&text).unwrap(), used);
}

#[test]
fn no_two_stages_share_a_name_and_every_one_is_reported_once() {
    let mut names: Vec<_> = StageReport::now().stages.into_iter().map(|stage| stage.stage).collect();
    assert_eq!(names, Stage::ALL.map(Stage::name));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Stage::ALL.len());
}
