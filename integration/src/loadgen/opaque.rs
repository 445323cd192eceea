//! Envelopes that are nothing but bytes: of an exact size, unsigned, each with a number of its own in its data.
//!
//! They are what the thesis measures with. Only their form is an envelope's: a channel header with the channel's name and
//! the type ENDORSER_TRANSACTION, data, and a byte where the signature belongs, because peers refuse blocks with envelopes
//! that have none. Nodes take them if they leave the check of signatures to frontends. Making one is a copy.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use fabric_proto::common::{ChannelHeader, Header, HeaderType, Payload};
use fabric_proto::{ChannelId, canonical};
use prost::Message as _;

use super::key::Key;

/// Makes them for one channel.
#[derive(Debug)]
pub(super) struct OpaqueMaker {
    template: Vec<u8>,
    /// Where the number is in it.
    number_at: usize,
    channel: u16,
    /// The number of the first: another one in every run, because what an orderer has ordered once it does not order again.
    first: u64,
    made: AtomicU64,
}

/// The channel's name leaves no room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--opaque {asked}: an envelope of channel {channel} has {least} bytes at least")]
pub(super) struct TooSmall {
    asked: usize,
    channel: ChannelId,
    least: usize,
}

impl OpaqueMaker {
    /// Makes envelopes of so many bytes in all; `index` is the channel's place among those that are loaded.
    ///
    /// # Errors
    /// [`TooSmall`].
    pub(super) fn new(channel: &ChannelId, index: u16, envelope_bytes: usize) -> Result<Self, TooSmall> {
        let least = encode(channel, NUMBER_BYTES, 1).len();
        // Where a length begins to take a byte more, no data gives the exact size; a longer signature does.
        let shapes = (1..=SIGNATURE_BYTES_MAX).flat_map(|signature| {
            let rest = envelope_bytes.saturating_sub(least - NUMBER_BYTES);
            (rest.saturating_sub(LENGTHS_BYTES_MAX).max(NUMBER_BYTES)..=rest).map(move |data| (data, signature))
        });
        let mut fitting = shapes.map(|(data, signature)| encode(channel, data, signature));
        let template = fitting.find(|template| template.len() == envelope_bytes);
        let template = template.ok_or(TooSmall { asked: envelope_bytes, channel: channel.clone(), least })?;
        let marked = [MARK; NUMBER_BYTES];
        let number_at = template.windows(NUMBER_BYTES).rposition(|window| window == marked);
        let number_at = number_at.expect("the data begins with the mark");
        Ok(Self { template, number_at, channel: index, first: fastrand::u64(..), made: AtomicU64::new(0) })
    }

    /// The next one.
    pub(super) fn make(&self) -> (Key, Bytes) {
        let number = self.first.wrapping_add(self.made.fetch_add(1, Relaxed));
        let mut envelope = self.template.clone();
        envelope[self.number_at..][..NUMBER_BYTES].copy_from_slice(&number.to_be_bytes());
        (Key::of_number(number, self.channel), envelope.into())
    }

    /// What an envelope from a block is recognised by, whoever made it.
    pub(super) fn key_of(&self, envelope: &[u8]) -> Key {
        self.number_of(envelope).map_or_else(|| Key::of(envelope), |number| Key::of_number(number, self.channel))
    }

    /// Bytes of each.
    pub(super) fn envelope_bytes(&self) -> usize {
        self.template.len()
    }

    /// How many were made.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Relaxed)
    }

    /// Its number, if it was made here.
    fn number_of(&self, envelope: &[u8]) -> Option<u64> {
        let (before, rest) = envelope.split_at_checked(self.number_at)?;
        let (number, behind) = rest.split_first_chunk::<NUMBER_BYTES>()?;
        let is_like =
            before == &self.template[..self.number_at] && behind == &self.template[self.number_at + NUMBER_BYTES..];
        let number = u64::from_be_bytes(*number);
        (is_like && number.wrapping_sub(self.first) < self.made()).then_some(number)
    }
}

/// An envelope around so many bytes of data, which begin with marks in the place of a number.
fn encode(channel: &ChannelId, data_bytes: usize, signature_bytes: usize) -> Vec<u8> {
    let channel_header = ChannelHeader {
        r#type: HeaderType::EndorserTransaction.into(),
        channel_id: channel.as_str().to_owned(),
        ..ChannelHeader::default()
    };
    let header = Header { channel_header: channel_header.encode_to_vec().into(), signature_header: Bytes::new() };
    let mut data = vec![0; data_bytes];
    data[..NUMBER_BYTES].fill(MARK);
    let payload = Payload { header: Some(header), data: data.into() }.encode_to_vec();
    canonical::encode(&payload, &vec![0; signature_bytes]).to_vec()
}

const NUMBER_BYTES: usize = 8;
/// No name of a channel has it, nor has any length of eight bytes.
const MARK: u8 = 0xff;
/// Two lengths, of payload and data, can each take a byte more at the same size.
const SIGNATURE_BYTES_MAX: usize = 3;
/// What longer lengths and signatures take of the data at most: three lengths of ten bytes.
const LENGTHS_BYTES_MAX: usize = 32;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use blockcutter::admission::admit_envelope;

    use super::*;

    fn channel(name: &str) -> ChannelId {
        ChannelId::new(name).unwrap()
    }

    #[test]
    fn every_size_is_exact_and_admitted() {
        let channel = channel("devchannel");
        let sizes = (40..400).chain([1024, 4096, 16_380, 16_410, 16_411, 16_412, 16_413, 16_414, 16_415, 1 << 20]);
        for size in sizes {
            let (_, envelope) = OpaqueMaker::new(&channel, 0, size).unwrap().make();
            assert_eq!(envelope.len(), size);
            let admitted = admit_envelope(&channel, envelope).unwrap();
            assert!(admitted.data().len() >= NUMBER_BYTES && admitted.signature().len() <= SIGNATURE_BYTES_MAX);
        }
    }

    #[test]
    fn each_is_another_one_and_known_again() {
        let maker = OpaqueMaker::new(&channel("devchannel"), 3, 40).unwrap();
        let made: Vec<_> = (0..1000).map(|_| maker.make()).collect();
        assert_eq!(made.iter().map(|(key, _)| *key).collect::<HashSet<_>>().len(), 1000);
        assert_eq!(made.iter().map(|(_, envelope)| envelope.clone()).collect::<HashSet<_>>().len(), 1000);
        assert!(made.iter().all(|(key, envelope)| maker.key_of(envelope) == *key));
    }

    #[test]
    fn what_others_made_is_not_taken_for_ours() {
        let maker = OpaqueMaker::new(&channel("devchannel"), 0, 40).unwrap();
        maker.make();
        for other in [
            OpaqueMaker::new(&channel("devchannel"), 0, 40).unwrap().make().1,
            OpaqueMaker::new(&channel("devchanne2"), 0, 40).unwrap().make().1,
            OpaqueMaker::new(&channel("devchannel"), 0, 41).unwrap().make().1,
            Bytes::new(),
        ] {
            assert_eq!(maker.key_of(&other), Key::of(&other));
        }
    }

    #[test]
    fn a_name_that_leaves_no_room_is_said() {
        let error = OpaqueMaker::new(&channel("devchannel"), 0, 20).unwrap_err();
        assert_eq!(error.to_string(), "--opaque 20: an envelope of channel devchannel has 33 bytes at least");
        assert_eq!(OpaqueMaker::new(&channel("devchannel"), 0, 33).unwrap().make().1.len(), 33);
        assert!(OpaqueMaker::new(&channel(&"c".repeat(200)), 0, 40).is_err());
    }
}
