//! Where envelopes come from: a stock made beforehand, nothing but numbers, or a file.

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;

use super::key::Key;
use super::matching::ChannelIndex;
use super::opaque::OpaqueMaker;
use super::replay::Replay;
use super::stock::Stock;

/// An encoded envelope, what it is recognised by, and its channel.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) key: Key,
    pub(super) envelope: Bytes,
    pub(super) channel: ChannelIndex,
}

/// The envelopes of one channel.
#[derive(Debug)]
pub(super) enum Source {
    /// Made beforehand.
    Stock(Stock),
    /// Made when they are sent.
    Opaque(OpaqueMaker),
    /// Made in another run.
    Replay(Replay),
}

/// The envelopes of all channels.
#[derive(Debug)]
pub(super) struct Sources {
    of_channels: Vec<Source>,
    turn: AtomicUsize,
}

impl Sources {
    /// One for each channel, at least one.
    pub(super) fn new(of_channels: Vec<Source>) -> Self {
        assert!(!of_channels.is_empty(), "a load is for some channel");
        Self { of_channels, turn: AtomicUsize::new(0) }
    }

    /// How many channels there are.
    pub(super) fn channels(&self) -> usize {
        self.of_channels.len()
    }

    /// The next envelope, of each channel in turn; nothing if a file has come to its end.
    pub(super) fn take(&self) -> Option<Prepared> {
        let channel = self.turn.fetch_add(1, Relaxed) % self.of_channels.len();
        let (key, envelope) = match &self.of_channels[channel] {
            Source::Stock(stock) => stock.take(),
            Source::Opaque(maker) => maker.make(),
            Source::Replay(replay) => replay.take()?,
        };
        Some(Prepared { key, envelope, channel: ChannelIndex(channel) })
    }

    /// What an envelope of a block is recognised by.
    pub(super) fn key_of(&self, channel: ChannelIndex, envelope: &[u8]) -> Key {
        match &self.of_channels[channel.0] {
            Source::Opaque(maker) => maker.key_of(envelope),
            Source::Stock(_) | Source::Replay(_) => Key::of(envelope),
        }
    }

    /// Bytes of an envelope, on average over the channels.
    pub(super) fn envelope_bytes(&self) -> f64 {
        let bytes = |source: &Source| match source {
            Source::Stock(stock) => stock.envelope_bytes,
            Source::Opaque(maker) => maker.envelope_bytes() as f64,
            Source::Replay(replay) => replay.envelope_bytes(),
        };
        self.of_channels.iter().map(bytes).sum::<f64>() / self.of_channels.len() as f64
    }

    /// How many were made before the load.
    pub(super) fn prepared(&self) -> u64 {
        let prepared = |source: &Source| match source {
            Source::Stock(stock) => stock.prepared,
            Source::Opaque(_) => 0,
            Source::Replay(replay) => replay.count(),
        };
        self.of_channels.iter().map(prepared).sum()
    }

    /// How many were signed while it ran.
    pub(super) fn made_late(&self) -> u64 {
        let late = |source: &Source| match source {
            Source::Stock(stock) => stock.made_late(),
            Source::Opaque(_) | Source::Replay(_) => 0,
        };
        self.of_channels.iter().map(late).sum()
    }

    /// What has gone wrong with a file.
    pub(super) fn failures(&self) -> Vec<String> {
        let failure = |source: &Source| match source {
            Source::Replay(replay) => replay.failure(),
            Source::Stock(_) | Source::Opaque(_) => None,
        };
        self.of_channels.iter().filter_map(failure).collect()
    }
}

/// Envelopes that were sent a while ago and may be sent again, each once.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// With the frontend each was sent to, oldest first.
    sent: VecDeque<(usize, Prepared)>,
}

impl Recent {
    /// One was given to this frontend.
    pub(super) fn on_sent(&mut self, frontend: usize, prepared: Prepared) {
        if self.sent.len() == RECENT_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back((frontend, prepared));
    }

    /// The oldest one that this frontend has not been given, or the oldest if it is the only one.
    pub(super) fn take_for(&mut self, frontend: usize, frontends: usize) -> Option<Prepared> {
        let is_fit = |(given_to, _): &(usize, Prepared)| frontends == 1 || *given_to != frontend;
        let at = self.sent.iter().position(is_fit)?;
        self.sent.remove(at).map(|(_, prepared)| prepared)
    }
}

const RECENT_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(number: u64) -> Prepared {
        Prepared { key: Key::of_number(number, 0), envelope: Bytes::new(), channel: ChannelIndex(0) }
    }

    #[test]
    fn what_is_sent_again_goes_to_another_frontend_and_only_once() {
        let mut recent = Recent::default();
        for (number, frontend) in [(0, 0), (1, 0), (2, 1)] {
            recent.on_sent(frontend, prepared(number));
        }
        let mut take = |frontend, frontends| recent.take_for(frontend, frontends).map(|prepared| prepared.key);
        assert_eq!(take(0, 2), Some(Key::of_number(2, 0)));
        assert_eq!(take(0, 2), None);
        assert_eq!(take(1, 2), Some(Key::of_number(0, 0)));
        assert_eq!(take(0, 1), Some(Key::of_number(1, 0)), "there is no other frontend");
    }

    #[test]
    fn only_the_last_ones_are_kept() {
        let mut recent = Recent::default();
        (0..=RECENT_MAX as u64).for_each(|number| recent.on_sent(0, prepared(number)));
        assert_eq!(recent.sent.len(), RECENT_MAX);
        assert_eq!(recent.take_for(1, 2).map(|prepared| prepared.key), Some(Key::of_number(1, 0)));
    }
}
