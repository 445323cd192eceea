//! From sent to delivered: which envelope, how long it took, whether it happened at all, and whether it happened twice.
//!
//! Pure: times are arguments. An envelope is known by its key alone. What has come to its end is remembered in a ring
//! of bounded size; what is on its way is bounded by those who send.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::time::{Duration, Instant};

use super::key::{Key, KeyHash};
use super::percentiles::{LatencyHistogram, LatencyPoint, Percentiles};

/// Place of a way to send among all of them: a Broadcast stream, or one to a frontend in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LaneIndex(pub(super) usize);

/// Place of a channel among those that are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ChannelIndex(pub(super) usize);

/// Pairs what was sent with what was answered and what was delivered.
#[derive(Debug)]
pub(super) struct Matching {
    envelopes: HashMap<Key, Fate, KeyHash>,
    /// Keys of envelopes that are not on their way any more, oldest first.
    settled: VecDeque<Key>,
    settled_max: usize,
    window: Window,
    tally: Tally,
    acknowledgement: LatencyHistogram,
    delivery: LatencyHistogram,
    /// Since the last tick, whether it counts or not.
    tick: LatencyHistogram,
    channels: Vec<ChannelTally>,
}

/// What arrived of one channel within the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ChannelTally {
    /// Envelopes delivered.
    pub(super) delivered_in_window: u64,
    /// Blocks with any of them.
    pub(super) blocks_in_window: u64,
}

/// How many of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Given to a stream.
    pub(super) sent: u64,
    /// Of them, due within the window.
    pub(super) sent_measured: u64,
    /// Answered with SUCCESS.
    pub(super) acknowledged: u64,
    /// Answered so within the window.
    pub(super) acknowledged_in_window: u64,
    /// Answered with another status.
    pub(super) refused: u64,
    /// On a stream that ended before the answer.
    pub(super) unanswered: u64,
    /// Envelopes sent again on purpose.
    pub(super) copies: u64,
    /// Of them, answered with SUCCESS.
    pub(super) copies_acknowledged: u64,
    /// Delivered, each counted once.
    pub(super) delivered: u64,
    /// Blocks with any of them.
    pub(super) blocks: u64,
    /// Delivered within the window.
    pub(super) delivered_in_window: u64,
    /// Deliveries of what had been delivered before.
    pub(super) repeated: u64,
    /// Deliveries of what was not sent from here.
    pub(super) foreign: u64,
    /// On their way: neither delivered, refused nor unanswered.
    pub(super) underway: usize,
    /// Of them, due within the window.
    pub(super) underway_measured: usize,
    /// Blocks with an envelope from here, within the window.
    pub(super) blocks_in_window: u64,
    /// The last delivery.
    pub(super) last_delivery: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Underway(Underway),
    /// Refused, or its stream ended: it may come nevertheless.
    Abandoned(Underway),
    Delivered,
}

#[derive(Clone, Copy, Debug)]
struct Underway {
    lane: LaneIndex,
    due: Instant,
    /// Due within the window, judged once: what is counted up is counted down.
    is_measured: bool,
    is_acknowledged: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    from: Option<Instant>,
    until: Option<Instant>,
}

impl Matching {
    /// Nothing sent yet. Remembers so many envelopes that have come to their end.
    pub(super) fn new(settled_max: usize, channels: usize) -> Self {
        Self {
            envelopes: HashMap::default(),
            settled: VecDeque::new(),
            settled_max,
            window: Window::default(),
            tally: Tally::default(),
            acknowledgement: LatencyHistogram::new(),
            delivery: LatencyHistogram::new(),
            tick: LatencyHistogram::new(),
            channels: vec![ChannelTally::default(); channels],
        }
    }

    /// The window begins: what is due from now on is measured.
    pub(super) fn open_window(&mut self, at: Instant) {
        self.window.from = Some(at);
    }

    /// It ends: what is due from now on is not. What was due within still is, whenever it comes.
    pub(super) fn close_window(&mut self, at: Instant) {
        self.window.until = Some(at);
    }

    /// An envelope that fell due at `due` is about to be sent.
    pub(super) fn on_sent(&mut self, key: Key, lane: LaneIndex, due: Instant) {
        let is_measured = self.window.contains(due);
        self.envelopes.insert(key, Fate::Underway(Underway { lane, due, is_measured, is_acknowledged: false }));
        self.tally.sent += 1;
        self.tally.underway += 1;
        self.tally.sent_measured += u64::from(is_measured);
        self.tally.underway_measured += usize::from(is_measured);
    }

    /// It was answered with SUCCESS.
    pub(super) fn on_acknowledged(&mut self, key: Key, due: Instant, at: Instant) {
        self.tally.acknowledged += 1;
        self.tally.acknowledged_in_window += u64::from(self.window.contains(at));
        if self.window.contains(due) {
            self.acknowledgement.record(at.saturating_duration_since(due));
        }
        if let Some(Fate::Underway(underway)) = self.envelopes.get_mut(&key) {
            underway.is_acknowledged = true;
        }
    }

    /// It was answered with another status. Gives the lane on which a place is free now.
    pub(super) fn on_refused(&mut self, key: Key) -> Option<LaneIndex> {
        self.tally.refused += 1;
        self.abandon(key)
    }

    /// Its stream ended before the answer. Gives the lane on which a place is free now.
    pub(super) fn on_unanswered(&mut self, key: Key) -> Option<LaneIndex> {
        self.tally.unanswered += 1;
        self.abandon(key)
    }

    /// An earlier envelope is about to be sent again.
    pub(super) fn on_copy_sent(&mut self) {
        self.tally.copies += 1;
    }

    /// The copy was answered with SUCCESS, which promises that the envelope is delivered, if only once.
    pub(super) fn on_copy_acknowledged(&mut self, key: Key) {
        self.tally.copies_acknowledged += 1;
        if let Some(Fate::Underway(underway)) = self.envelopes.get_mut(&key) {
            underway.is_acknowledged = true;
        }
    }

    /// The copy was answered with another status.
    pub(super) fn on_copy_refused(&mut self) {
        self.tally.refused += 1;
    }

    /// Its stream ended before the answer.
    pub(super) fn on_copy_unanswered(&mut self) {
        self.tally.unanswered += 1;
    }

    /// A block of a channel with these envelopes arrived at `at`. Gives a lane for each place that is free now.
    pub(super) fn on_block(
        &mut self,
        channel: ChannelIndex,
        keys: impl IntoIterator<Item = Key>,
        at: Instant,
    ) -> Vec<LaneIndex> {
        let delivered_before = self.tally.delivered;
        let freed = keys.into_iter().filter_map(|key| self.on_delivered(key, at)).collect();
        let delivered = self.tally.delivered - delivered_before;
        if delivered > 0 {
            self.tally.last_delivery = Some(at);
            self.tally.blocks += 1;
        }
        if delivered > 0 && self.window.contains(at) {
            self.tally.blocks_in_window += 1;
            let of_channel = &mut self.channels[channel.0];
            of_channel.blocks_in_window += 1;
            of_channel.delivered_in_window += delivered;
        }
        freed
    }

    /// Ends a tick: how many of what there were so far, and how long what was delivered since the last one took.
    /// `next` counts on from here.
    pub(super) fn end_tick(&mut self, next: LatencyHistogram) -> (Tally, LatencyHistogram) {
        (self.tally, std::mem::replace(&mut self.tick, next))
    }

    /// By channel, within the window.
    pub(super) fn channels(&self) -> &[ChannelTally] {
        &self.channels
    }

    /// How many of what so far.
    pub(super) const fn tally(&self) -> Tally {
        self.tally
    }

    /// Answered with SUCCESS and not delivered: lost, once nothing is on its way any more.
    pub(super) fn acknowledged_undelivered(&self) -> u64 {
        let is_such = |fate: &&Fate| matches!(fate, Fate::Underway(Underway { is_acknowledged: true, .. }));
        self.envelopes.values().filter(is_such).count() as u64
    }

    /// From due to SUCCESS, of what was due within the window.
    pub(super) fn acknowledgement(&self) -> Percentiles {
        self.acknowledgement.percentiles()
    }

    /// From due to delivered, of what was due within the window.
    pub(super) fn delivery(&self) -> Percentiles {
        self.delivery.percentiles()
    }

    /// How that is distributed.
    pub(super) fn delivery_distribution(&self) -> Vec<LatencyPoint> {
        self.delivery.distribution()
    }

    fn on_delivered(&mut self, key: Key, at: Instant) -> Option<LaneIndex> {
        let Entry::Occupied(mut entry) = self.envelopes.entry(key) else {
            self.tally.foreign += 1;
            return None;
        };
        let (sent, is_underway) = match entry.insert(Fate::Delivered) {
            Fate::Delivered => {
                self.tally.repeated += 1;
                return None;
            }
            Fate::Abandoned(sent) => (sent, false),
            Fate::Underway(sent) => (sent, true),
        };
        self.tally.delivered += 1;
        self.tally.delivered_in_window += u64::from(self.window.contains(at));
        let latency = at.saturating_duration_since(sent.due);
        self.tick.record(latency);
        if sent.is_measured {
            self.delivery.record(latency);
        }
        if !is_underway {
            return None;
        }
        self.settle(key, sent);
        Some(sent.lane)
    }

    fn abandon(&mut self, key: Key) -> Option<LaneIndex> {
        let fate = self.envelopes.get_mut(&key)?;
        let Fate::Underway(sent) = *fate else { return None };
        *fate = Fate::Abandoned(sent);
        self.settle(key, sent);
        Some(sent.lane)
    }

    /// It is not on its way any more.
    fn settle(&mut self, key: Key, sent: Underway) {
        self.tally.underway -= 1;
        self.tally.underway_measured -= usize::from(sent.is_measured);
        if self.settled.len() == self.settled_max
            && let Some(oldest) = self.settled.pop_front()
        {
            self.envelopes.remove(&oldest);
        }
        self.settled.push_back(key);
    }
}

impl Window {
    fn contains(&self, at: Instant) -> bool {
        self.from.is_some_and(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
}

impl Tally {
    /// How long ago the last delivery was, or else `since`.
    pub(super) fn quiet_for(&self, since: Instant, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_delivery.map_or(since, |last| last.max(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        Key::of(&number.to_be_bytes())
    }

    fn keys(numbers: std::ops::Range<u32>) -> Vec<Key> {
        numbers.map(key).collect()
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    const LANE: LaneIndex = LaneIndex(3);
    const CHANNEL: ChannelIndex = ChannelIndex(0);

    #[test]
    fn a_delivery_frees_one_place_and_is_measured_from_when_it_was_due() {
        let (mut matching, start) = (Matching::new(100, 1), Instant::now());
        matching.open_window(start);
        matching.on_sent(key(1), LANE, start);
        matching.on_acknowledged(key(1), start, start + ms(5));
        assert_eq!(matching.on_block(CHANNEL, [key(1)], start + ms(20)), [LANE]);
        assert_eq!((matching.acknowledgement().count, matching.delivery().count), (1, 1));
        assert!((matching.acknowledgement().p50_ms - 5.0).abs() < 0.1, "{:?}", matching.acknowledgement());
        assert!((matching.delivery().p50_ms - 20.0).abs() < 0.1, "{:?}", matching.delivery());
        let tally = matching.tally();
        assert_eq!(
            (tally.underway, tally.underway_measured, tally.delivered_in_window, tally.blocks_in_window),
            (0, 0, 1, 1)
        );
        assert_eq!(matching.acknowledged_undelivered(), 0);
    }

    #[test]
    fn what_comes_twice_is_counted_and_frees_nothing_again() {
        let (mut matching, now) = (Matching::new(100, 1), Instant::now());
        matching.on_sent(key(1), LANE, now);
        assert_eq!(matching.on_block(CHANNEL, [key(1), key(1)], now), [LANE], "twice in one block");
        assert_eq!(matching.on_block(CHANNEL, [key(1)], now), [], "and once more");
        assert_eq!((matching.tally().repeated, matching.tally().delivered), (2, 1));
    }

    #[test]
    fn what_was_acknowledged_and_does_not_come_is_counted() {
        let (mut matching, now) = (Matching::new(100, 1), Instant::now());
        for number in 0..4 {
            matching.on_sent(key(number), LANE, now);
        }
        for number in 0..3 {
            matching.on_acknowledged(key(number), now, now);
        }
        matching.on_block(CHANNEL, [key(0)], now);
        assert_eq!(matching.acknowledged_undelivered(), 2, "not the fourth, which nobody has promised anything about");
        assert_eq!(matching.tally().underway, 3);
    }

    #[test]
    fn an_acknowledgement_after_the_delivery_promises_nothing_more() {
        let (mut matching, now) = (Matching::new(100, 1), Instant::now());
        matching.on_sent(key(1), LANE, now);
        matching.on_block(CHANNEL, [key(1)], now);
        matching.on_acknowledged(key(1), now, now);
        assert_eq!((matching.acknowledged_undelivered(), matching.tally().acknowledged), (0, 1));
    }

    #[test]
    fn what_is_given_up_frees_its_place_once_and_may_come_nevertheless() {
        let (mut matching, now) = (Matching::new(100, 1), Instant::now());
        for number in 0..3 {
            matching.on_sent(key(number), LANE, now);
        }
        assert_eq!(matching.on_refused(key(0)), Some(LANE));
        assert_eq!(matching.on_unanswered(key(1)), Some(LANE));
        assert_eq!(matching.tally().underway, 1);
        assert_eq!(matching.on_block(CHANNEL, keys(0..3), now), [LANE], "only the third one had its place still");
        let tally = matching.tally();
        assert_eq!((tally.delivered, tally.repeated, tally.refused, tally.unanswered), (3, 0, 1, 1));
        matching.on_block(CHANNEL, [key(0)], now);
        assert_eq!(matching.tally().repeated, 1);
    }

    #[test]
    fn a_delivery_before_the_stream_ends_frees_the_place_once() {
        let (mut matching, now) = (Matching::new(100, 1), Instant::now());
        matching.on_sent(key(1), LANE, now);
        assert_eq!(matching.on_block(CHANNEL, [key(1)], now), [LANE]);
        assert_eq!(matching.on_unanswered(key(1)), None);
        assert_eq!(matching.tally().underway, 0);
    }

    #[test]
    fn only_what_was_due_within_the_window_has_a_latency() {
        let (mut matching, start) = (Matching::new(100, 1), Instant::now());
        let (opens, closes) = (start + ms(1000), start + ms(2000));
        let dues = [start + ms(900), start + ms(1000), start + ms(1999), start + ms(2000)];
        for (number, due) in dues.into_iter().enumerate() {
            if due >= opens {
                matching.open_window(opens);
            }
            if due >= closes {
                matching.close_window(closes);
            }
            matching.on_sent(key(number as u32), LANE, due);
        }
        assert_eq!(
            (matching.tally().sent, matching.tally().sent_measured, matching.tally().underway_measured),
            (4, 2, 2)
        );
        matching.on_block(CHANNEL, keys(0..1), start + ms(1100));
        matching.on_block(CHANNEL, keys(1..4), start + ms(3000));
        let tally = matching.tally();
        assert_eq!(matching.delivery().count, 2, "the first was due before, the last behind");
        assert_eq!(tally.delivered_in_window, 1, "by arrival it is the first one");
        assert_eq!((tally.underway, tally.underway_measured), (0, 0));
    }

    #[test]
    fn the_envelopes_of_others_are_none_of_ours() {
        let mut matching = Matching::new(100, 1);
        assert_eq!(matching.on_block(CHANNEL, keys(0..5), Instant::now()), []);
        let tally = matching.tally();
        assert_eq!((tally.foreign, tally.delivered, tally.blocks_in_window, tally.last_delivery), (5, 0, 0, None));
    }

    #[test]
    fn memory_is_bounded_by_what_is_on_its_way() {
        let (mut matching, now) = (Matching::new(10, 1), Instant::now());
        for number in 0..1000 {
            matching.on_sent(key(number), LANE, now);
            matching.on_block(CHANNEL, [key(number)], now);
        }
        assert_eq!((matching.envelopes.len(), matching.settled.len()), (10, 10));
        matching.on_block(CHANNEL, [key(989)], now);
        assert_eq!((matching.tally().repeated, matching.tally().foreign), (0, 1), "forgotten");
        matching.on_block(CHANNEL, [key(990)], now);
        assert_eq!(matching.tally().repeated, 1, "remembered");
    }

    #[test]
    fn a_copy_is_counted_apart_and_promises_one_delivery() {
        let (mut matching, now) = (Matching::new(100, 1), Instant::now());
        matching.on_sent(key(1), LANE, now);
        matching.on_copy_sent();
        matching.on_copy_acknowledged(key(1));
        assert_eq!(matching.acknowledged_undelivered(), 1);
        matching.on_block(CHANNEL, [key(1)], now);
        let tally = matching.tally();
        assert_eq!((tally.sent, tally.acknowledged, tally.copies, tally.copies_acknowledged), (1, 0, 1, 1));
        assert_eq!((matching.acknowledged_undelivered(), tally.delivered, tally.repeated), (0, 1, 0));
        matching.on_block(CHANNEL, [key(1)], now);
        assert_eq!(matching.tally().repeated, 1, "ordered for the copy too");
    }

    #[test]
    fn channels_are_counted_apart() {
        let (mut matching, now) = (Matching::new(100, 2), Instant::now());
        matching.open_window(now);
        (0..5).for_each(|number| matching.on_sent(key(number), LANE, now));
        matching.on_block(ChannelIndex(0), keys(0..1), now);
        matching.on_block(ChannelIndex(1), keys(1..3), now);
        matching.on_block(ChannelIndex(1), keys(3..5), now);
        let counted = |delivered_in_window, blocks_in_window| ChannelTally { delivered_in_window, blocks_in_window };
        assert_eq!(matching.channels(), [counted(1, 1), counted(4, 2)]);
    }

    #[test]
    fn a_tick_has_what_was_delivered_since_the_last_one() {
        let (mut matching, start) = (Matching::new(100, 1), Instant::now());
        for (number, took) in [(1, 10), (2, 20)] {
            matching.on_sent(key(number), LANE, start);
            matching.on_block(CHANNEL, [key(number)], start + ms(took));
            let (tally, latencies) = matching.end_tick(LatencyHistogram::new());
            assert_eq!((tally.delivered, tally.blocks), (u64::from(number), u64::from(number)));
            let found = latencies.percentiles();
            assert!(found.count == 1 && (found.max_ms - took as f64).abs() < 0.1, "{found:?}");
        }
    }
}
