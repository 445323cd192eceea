//! Envelopes that wait together, on their way into one request body.
//!
//! Envelopes of one channel keep their order; channels are written in the order of their names. The size is known at
//! any time without encoding anything.

use std::collections::BTreeMap;

use bytes::Bytes;
use fabric_proto::ChannelId;
use mod_smart::codec::Writer;

use crate::command::{envelope_bytes, group_bytes, write_envelopes};
use crate::limits::{BODY_BYTES_MAX, COMMANDS_MAX, ENVELOPES_MAX};

/// Collects envelopes into the body of one request.
#[derive(Debug, Default)]
pub struct BundleBuilder {
    groups: BTreeMap<ChannelId, Vec<Bytes>>,
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
    pub fn has_room_for(&self, channel: &ChannelId, envelope: &Bytes) -> bool {
        let is_known = self.groups.contains_key(channel);
        let header = if is_known { 0 } else { group_bytes(channel) };
        self.envelopes < ENVELOPES_MAX
            && (is_known || self.groups.len() < COMMANDS_MAX)
            && self.bytes + header + envelope_bytes(envelope) <= BODY_BYTES_MAX
    }

    /// Adds an envelope behind those of its channel.
    pub fn push(&mut self, channel: &ChannelId, envelope: Bytes) {
        self.envelopes += 1;
        self.bytes += envelope_bytes(&envelope);
        if let Some(group) = self.groups.get_mut(channel) {
            group.push(envelope);
            return;
        }
        self.bytes += group_bytes(channel);
        self.groups.insert(channel.clone(), vec![envelope]);
    }

    /// How many envelopes there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.envelopes
    }

    /// Is there no envelope?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.envelopes == 0
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
        for (channel, envelopes) in &self.groups {
            write_envelopes(&mut writer, channel, envelopes);
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
        for (channel, envelope) in [(&b, "b1"), (&a, "a1"), (&b, "b2"), (&a, "")] {
            bundle.push(channel, Bytes::from(envelope));
        }
        let (len, bytes) = (bundle.len(), bundle.bytes());
        let body = bundle.finish();
        assert_eq!((len, bytes), (4, body.len()));
        let expected = vec![
            Command::Envelopes { channel: a, envelopes: vec![Bytes::from("a1"), Bytes::new()] },
            Command::Envelopes { channel: b, envelopes: vec![Bytes::from("b1"), Bytes::from("b2")] },
        ];
        assert_eq!(decode(body), Ok(expected));
    }

    #[test]
    fn a_bundle_knows_when_it_is_full() {
        let ch = channel("ch");
        let mut bundle = BundleBuilder::new();
        for _ in 0..ENVELOPES_MAX {
            assert!(bundle.has_room_for(&ch, &Bytes::new()));
            bundle.push(&ch, Bytes::new());
        }
        assert!(!bundle.has_room_for(&ch, &Bytes::new()));
        assert!(decode(bundle.finish()).is_ok());

        let exact = BODY_BYTES_MAX - group_bytes(&ch) - envelope_bytes(&Bytes::new());
        let envelope = Bytes::from(vec![0; exact + 1]);
        let mut bundle = BundleBuilder::new();
        assert!(!bundle.has_room_for(&ch, &envelope));
        assert!(bundle.has_room_for(&ch, &envelope.slice(1..)));
        bundle.push(&ch, envelope.slice(1..));
        assert!(!bundle.has_room_for(&ch, &Bytes::new()));
        assert!(decode(bundle.finish()).is_ok());
    }
}
