//! What happened when: a tick for every second of the load, and events between them. Pure: times are arguments.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::matching::Tally;
use super::percentiles::Percentiles;
use super::sampler::ProcessShare;

/// What happened since the tick before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    /// Its end, in seconds after the load began.
    pub at_s: f64,
    /// Seconds that it took.
    pub tick_s: f64,
    /// Envelopes given to a stream.
    pub sent: u64,
    /// Answered with SUCCESS.
    pub acknowledged: u64,
    /// Answered with another status.
    pub refused: u64,
    /// Delivered.
    pub delivered: u64,
    /// Blocks with any of them.
    pub blocks: u64,
    /// Half of what was delivered took at most so long, from when it was due.
    pub p50_ms: f64,
    /// Ninety-nine of a hundred.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// What every process used: the nodes, then the load generator.
    pub processes: Vec<ProcessShare>,
}

/// Something that happened at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Seconds after the load began.
    pub at_s: f64,
    /// What it was.
    pub what: String,
}

/// Ticks and events so far, both bounded.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    ticks: VecDeque<Tick>,
    events: Vec<Event>,
    last: Tally,
    /// Seconds at which ticks without a gap have had refusals since, and how many.
    burst: Option<(f64, u64)>,
}

impl Timeline {
    /// With events that are known beforehand.
    pub(super) fn new(events: Vec<Event>) -> Self {
        Self { events, ..Self::default() }
    }

    /// A tick has ended, at which `tally` was reached.
    pub(super) fn on_tick(&mut self, at_s: f64, tally: &Tally, latencies: &Percentiles, processes: Vec<ProcessShare>) {
        let began_s = self.ticks.back().map_or(0.0, |last| last.at_s);
        let since = |count: fn(&Tally) -> u64| count(tally) - count(&self.last);
        let tick = Tick {
            at_s,
            tick_s: at_s - began_s,
            sent: since(|tally| tally.sent),
            acknowledged: since(|tally| tally.acknowledged),
            refused: since(|tally| tally.refused),
            delivered: since(|tally| tally.delivered),
            blocks: since(|tally| tally.blocks),
            p50_ms: latencies.p50_ms,
            p99_ms: latencies.p99_ms,
            max_ms: latencies.max_ms,
            processes,
        };
        match (tick.refused, self.burst) {
            (0, Some(_)) => self.end_burst(),
            (0, None) => {}
            (refused, burst) => {
                let (since_s, before) = burst.unwrap_or((began_s, 0));
                self.burst = Some((since_s, before + refused));
            }
        }
        self.last = *tally;
        if self.ticks.len() == TICKS_MAX {
            self.ticks.pop_front();
        }
        self.ticks.push_back(tick);
    }

    /// Something has happened. What is too much is left away.
    pub(super) fn on_event(&mut self, at_s: f64, what: String) {
        if self.events.len() < EVENTS_MAX {
            self.events.push(Event { at_s, what });
        }
    }

    /// Ticks and events, both in the order of time.
    pub(super) fn finish(&mut self) -> (Vec<Tick>, Vec<Event>) {
        self.end_burst();
        let mut events = std::mem::take(&mut self.events);
        events.sort_by(|one, other| one.at_s.total_cmp(&other.at_s));
        (std::mem::take(&mut self.ticks).into(), events)
    }

    fn end_burst(&mut self) {
        if let Some((since_s, refused)) = self.burst.take() {
            let until_s = self.ticks.back().map_or(since_s, |last| last.at_s);
            self.on_event(since_s, format!("{refused} envelopes refused until {until_s:.1} s"));
        }
    }
}

/// The time line as a table: a line for each tick, columns with their units.
pub(super) fn csv(ticks: &[Tick]) -> String {
    let mut text =
        "at_s,tick_s,sent_per_s,acknowledged_per_s,refused_per_s,delivered_per_s,blocks_per_s,p50_ms,p99_ms,max_ms"
            .to_owned();
    let names = ticks.first().map(|tick| &tick.processes[..]).unwrap_or_default();
    for ProcessShare { name, .. } in names {
        let name = name.replace([',', '"', '\n'], " ");
        text += &format!(",{name}_processors,{name}_resident_mib");
    }
    for tick in ticks {
        let per_s = |count: u64| if tick.tick_s > 0.0 { count as f64 / tick.tick_s } else { 0.0 };
        text += &format!("\n{:.3},{:.3}", tick.at_s, tick.tick_s);
        for count in [tick.sent, tick.acknowledged, tick.refused, tick.delivered, tick.blocks] {
            text += &format!(",{:.1}", per_s(count));
        }
        text += &format!(",{:.3},{:.3},{:.3}", tick.p50_ms, tick.p99_ms, tick.max_ms);
        for process in &tick.processes {
            let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.3}"));
            text += &format!(",{},{}", number(process.processors), number(process.resident_mib));
        }
    }
    text + "\n"
}

/// A day of seconds; older ones are let go then.
const TICKS_MAX: usize = 86_400;
const EVENTS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(sent: u64, refused: u64) -> Tally {
        Tally { sent, refused, ..Tally::default() }
    }

    fn share(processors: Option<f64>) -> ProcessShare {
        ProcessShare { name: "o1".to_owned(), processors, resident_mib: processors.map(|_| 12.0) }
    }

    #[test]
    fn a_tick_says_what_happened_since_the_one_before() {
        let mut timeline = Timeline::default();
        timeline.on_tick(1.0, &tally(10, 0), &Percentiles::default(), Vec::new());
        timeline.on_tick(2.5, &tally(40, 0), &Percentiles { p99_ms: 7.0, ..Percentiles::default() }, Vec::new());
        let (ticks, events) = timeline.finish();
        assert_eq!(ticks.iter().map(|tick| (tick.sent, tick.tick_s)).collect::<Vec<_>>(), [(10, 1.0), (30, 1.5)]);
        assert!((ticks[1].p99_ms - 7.0).abs() < 1e-9 && events.is_empty());
    }

    #[test]
    fn refusals_in_a_row_are_one_event() {
        let mut timeline = Timeline::new(vec![Event { at_s: 2.5, what: "leader killed".to_owned() }]);
        for (second, refused) in [(1, 0), (2, 3), (3, 5), (4, 5), (5, 9)] {
            timeline.on_tick(f64::from(second), &tally(0, refused), &Percentiles::default(), Vec::new());
        }
        let (_, events) = timeline.finish();
        let found: Vec<_> = events.iter().map(|event| (event.at_s, event.what.as_str())).collect();
        let expected = [
            (1.0, "5 envelopes refused until 3.0 s"),
            (2.5, "leader killed"),
            (4.0, "4 envelopes refused until 5.0 s"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn memory_is_bounded() {
        let mut timeline = Timeline::default();
        for number in 0..=TICKS_MAX {
            timeline.on_tick(number as f64, &Tally::default(), &Percentiles::default(), Vec::new());
            timeline.on_event(0.0, String::new());
        }
        let (ticks, events) = timeline.finish();
        assert_eq!((ticks.len(), events.len()), (TICKS_MAX, EVENTS_MAX));
    }

    #[test]
    fn the_table_names_units_and_leaves_out_what_is_gone() {
        let tick = |at_s, processors| Tick {
            at_s,
            tick_s: 2.0,
            sent: 10,
            p50_ms: 1.5,
            processes: vec![share(processors)],
            ..Tick::default()
        };
        let table = csv(&[tick(2.0, Some(0.5)), tick(4.0, None)]);
        let lines: Vec<_> = table.lines().collect();
        assert!(lines[0].ends_with("p50_ms,p99_ms,max_ms,o1_processors,o1_resident_mib"), "{}", lines[0]);
        assert_eq!(lines[1], "2.000,2.000,5.0,0.0,0.0,0.0,0.0,1.500,0.000,0.000,0.500,12.000");
        assert!(lines[2].ends_with(",0.000,,"), "{}", lines[2]);
        let columns = |line: &str| line.matches(',').count();
        assert!(lines.iter().all(|line| columns(line) == columns(lines[0])));
        assert_eq!(csv(&[]).lines().count(), 1);
    }
}
