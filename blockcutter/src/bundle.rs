//! Envelopes that wait together, on their way into one request body.
//!
//! Envelopes that were admitted to one channel under one configuration keep their order; channels are written in the order
//! of their names, new configurations last. The size is known at any time without encoding anything.

use std::collections::BTreeMap;

use bytes::Bytes;
use fabric_proto::ChannelId;
use mod_smart::codec::Writer;

use crate::command::{config_bytes, envelope_bytes, group_bytes, write_config, write_envelopes};
use crate::limits::{BODY_BYTES_MAX, COMMANDS_MAX, ENVELOPES_MAX};

/// Collects envelopes into the body of one request.
#[derive(Debug, Default)]
pub struct BundleBuilder {
    /// By channel, and the config sequence they were admitted under.
    groups: BTreeMap<(ChannelId, u64), Vec<Bytes>>,
    configs: Vec<(ChannelId, u64, Bytes)>,
    envelopes: usize,
    bytes: usize,
}

impl BundleBuilder {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Would the body still be within [`crate::limits`] with this envelope?
    #[must_use]
    pub fn has_room_for(&self, channel: &ChannelId, sequence: u64, envelope: &Bytes) -> bool {
        let is_known = self.groups.contains_key(&(channel.clone(), sequence));
        let header = if is_known { 0 } else { group_bytes(channel) };
        self.envelopes < ENVELOPES_MAX
            && (is_known || self.has_room_for_command())
            && self.bytes + header + envelope_bytes(envelope) <= BODY_BYTES_MAX
    }

    /// Would the body still be within [`crate::limits`] with this CONFIG envelope?
    #[must_use]
    pub fn has_room_for_config(&self, channel: &ChannelId, envelope: &Bytes) -> bool {
        self.has_room_for_command() && self.bytes + config_bytes(channel, envelope) <= BODY_BYTES_MAX
    }

    fn has_room_for_command(&self) -> bool {
        self.groups.len() + self.configs.len() < COMMANDS_MAX
    }

    /// Adds an ordinary envelope, admitted under this config sequence, behind those of its channel.
    pub fn push(&mut self, channel: &ChannelId, sequence: u64, envelope: Bytes) {
        self.envelopes += 1;
        self.bytes += envelope_bytes(&envelope);
        let group = self.groups.entry((channel.clone(), sequence)).or_insert_with(|| {
            self.bytes += group_bytes(channel);
            Vec::new()
        });
        group.push(envelope);
    }

    /// Adds a CONFIG envelope that leads on from this config sequence. It comes behind all ordinary envelopes.
    pub fn push_config(&mut self, channel: &ChannelId, sequence: u64, envelope: Bytes) {
        self.bytes += config_bytes(channel, &envelope);
        self.configs.push((channel.clone(), sequence, envelope));
    }

    /// How many envelopes there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.envelopes + self.configs.len()
    }

    /// Is there no envelope?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Length of the body so far, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The body.
    #[must_use]
    pub fn finish(self) -> Bytes {
        let mut writer = Writer::with_capacity(self.bytes);
        for ((channel, sequence), envelopes) in &self.groups {
            write_envelopes(&mut writer, channel, *sequence, envelopes);
        }
        for (channel, sequence, envelope) in &self.configs {
            write_config(&mut writer, channel, *sequence, envelope);
        }
        let body = writer.finish();
        assert_eq!(body.len(), self.bytes, "the size kept is not the size written");
        body
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::command::{Command, decode};

    fn channel(name: &str) -> ChannelId {
        ChannelId::new(name).unwrap()
    }

    #[test]
    fn envelopes_are_grouped_by_channel_in_their_order() {
        let (a, b) = (channel("a"), channel("b"));
        let mut bundle = BundleBuilder::new();
        assert!(bundle.is_empty());
        bundle.push_config(&a, 1, Bytes::from("config"));
        for (channel, sequence, envelope) in [(&b, 0, "b1"), (&a, 1, "a1"), (&b, 0, "b2"), (&a, 1, ""), (&a, 0, "a0")] {
            bundle.push(channel, sequence, Bytes::from(envelope));
        }
        let (len, bytes) = (bundle.len(), bundle.bytes());
        let body = bundle.finish();
        assert_eq!((len, bytes), (6, body.len()));
        let expected = vec![
            Command::Envelopes { channel: a.clone(), sequence: 0, envelopes: vec![Bytes::from("a0")] },
            Command::Envelopes { channel: a.clone(), sequence: 1, envelopes: vec![Bytes::from("a1"), Bytes::new()] },
            Command::Envelopes { channel: b, sequence: 0, envelopes: vec![Bytes::from("b1"), Bytes::from("b2")] },
            Command::Config { channel: a, sequence: 1, envelope: Bytes::from("config") },
        ];
        assert_eq!(decode(body), Ok(expected));
    }

    #[test]
    fn a_bundle_knows_when_it_is_full() {
        let ch = channel("ch");
        let mut bundle = BundleBuilder::new();
        for _ in 0..ENVELOPES_MAX {
            assert!(bundle.has_room_for(&ch, 0, &Bytes::new()));
            bundle.push(&ch, 0, Bytes::new());
        }
        assert!(!bundle.has_room_for(&ch, 0, &Bytes::new()));
        assert!(decode(bundle.finish()).is_ok());

        let exact = BODY_BYTES_MAX - group_bytes(&ch) - envelope_bytes(&Bytes::new());
        let envelope = Bytes::from(vec![0; exact + 1]);
        let mut bundle = BundleBuilder::new();
        assert!(!bundle.has_room_for(&ch, 0, &envelope));
        assert!(bundle.has_room_for(&ch, 0, &envelope.slice(1..)));
        bundle.push(&ch, 0, envelope.slice(1..));
        assert!(!bundle.has_room_for(&ch, 0, &Bytes::new()));
        assert!(decode(bundle.finish()).is_ok());
    }
}
