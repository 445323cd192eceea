//! The bytes of the ordering state: what a checkpoint digests and a replica that fell behind is given.
//!
//! Equal states have equal bytes, and only bytes that a state would be written as are read. What follows from a config
//! block (batch size, timeout, sequence) and from an envelope (its size) is not written but derived again.
//!
//! The digest of a snapshot is vouched for by a quorum before the snapshot is read, so the checks here guard against our
//! own mistakes and against bytes handed in by accident; they still never panic.

use bytes::Bytes;
use fabric_proto::ChannelId;
use mod_smart::codec::{CodecError, Reader, Writer};
use mod_smart::{ReplicaId, View, Voters};

use crate::admission::{EnvelopeReject, admit_envelope};
use crate::asks::{OpeningAsk, OpeningAsks};
use crate::chain::{Chain, Tip};
use crate::command::{CommandError, read_channel, write_channel};
use crate::config_block::{ConfigBlock, ConfigBlockReject};
use crate::cutter::Cutter;
use crate::limits::{ASKS_PER_REPLICA_MAX, CHANNELS_MAX, ORDERED_DIGESTS_MAX};
use crate::ordered::OrderedDigests;
use crate::ordering::Ordering;

/// Why a state cannot be restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Written by a version that this one does not know.
    #[error("snapshot format {found} is not known, only {VERSION} is")]
    Version {
        /// The number in the snapshot.
        found: u16,
    },
    /// The state of another ordering group.
    #[error("the snapshot belongs to another ordering group")]
    OtherGroup,
    /// The bytes do not follow the format.
    #[error("malformed snapshot: {0}")]
    Codec(#[from] CodecError),
    /// The name of a channel does not follow the rule.
    #[error("malformed snapshot: {0}")]
    Channel(CommandError),
    /// The config block of a channel cannot be read.
    #[error("config block in the snapshot: {0}")]
    ConfigBlock(Box<ConfigBlockReject>),
    /// An envelope in an open cut may not stand in a block.
    #[error("open cut of channel {channel}: {reject}")]
    Envelope {
        /// Whose cut.
        channel: ChannelId,
        /// What is wrong with it.
        reject: EnvelopeReject,
    },
    /// The parts do not fit each other.
    #[error("the snapshot contradicts itself: {0}")]
    Contradiction(&'static str),
}

impl Ordering {
    /// The state as bytes: equal for equal states.
    #[must_use]
    pub fn snapshot(&self) -> Bytes {
        let mut writer = Writer::default();
        writer.u16(VERSION);
        writer.raw(&self.view.group().0);
        writer.count(self.chains.len());
        for chain in self.chains.values() {
            write_chain(&mut writer, chain);
        }
        let asks: Vec<OpeningAsk> = self.asks.iter().collect();
        writer.count(asks.len());
        for ask in asks {
            write_channel(&mut writer, &ask.channel);
            writer.u16(ask.replica.0);
            writer.raw(&ask.genesis);
        }
        writer.finish()
    }

    /// The state that [`Ordering::snapshot`] wrote as these bytes. Keeps nothing of their memory.
    ///
    /// # Errors
    /// The bytes are no state of this group.
    pub fn restore(view: View, snapshot: Bytes) -> Result<Self, RestoreError> {
        Self::new(view).successor(snapshot)
    }

    /// Another state of the same group, as [`Ordering::restore`] reads it. A channel whose config block is the one that it has
    /// in this state is not configured anew: reading the certificates of many organisations takes longer than all else.
    ///
    /// # Errors
    /// The bytes are no state of this group.
    pub fn successor(&self, snapshot: Bytes) -> Result<Self, RestoreError> {
        let mut reader = Reader::new(snapshot.clone());
        let found = reader.u16()?;
        if found != VERSION {
            return Err(RestoreError::Version { found });
        }
        if reader.array()? != self.view.group().0 {
            return Err(RestoreError::OtherGroup);
        }
        let mut ordering = Self::new(self.view.clone());
        for _ in 0..read_count(&mut reader, CHANNELS_MAX)? {
            let chain = read_chain(&mut reader, self)?;
            ordering.chains.insert(chain.channel.clone(), chain);
        }
        ordering.asks = read_asks(&mut reader, &ordering)?;
        reader.finish()?;
        // One state has one spelling. This also finds channels and asks that are out of order or named twice.
        if ordering.snapshot() != snapshot {
            return Err(RestoreError::Contradiction("its parts are not in their order"));
        }
        Ok(ordering)
    }
}

fn write_chain(writer: &mut Writer, chain: &Chain) {
    writer.bytes(&chain.config_block);
    write_tip(writer, chain.opened_at);
    write_tip(writer, chain.tip);
    writer.u64(chain.last_config);
    writer.count(chain.cutter.open().len());
    for envelope in chain.cutter.open() {
        writer.bytes(envelope);
    }
    writer.raw(&chain.askers.bits().to_be_bytes());
    writer.count(chain.ordered.iter().len());
    for digest in chain.ordered.iter() {
        writer.raw(digest);
    }
    writer.u8(u8::from(chain.is_moved));
}

fn write_tip(writer: &mut Writer, tip: Tip) {
    writer.u64(tip.number);
    writer.raw(&tip.header_hash);
}

fn read_tip(reader: &mut Reader) -> Result<Tip, CodecError> {
    Ok(Tip { number: reader.u64()?, header_hash: reader.array()? })
}

fn read_chain(reader: &mut Reader, before: &Ordering) -> Result<Chain, RestoreError> {
    let view = &before.view;
    let mut chain = read_configured(reader, before)?;
    let config_number = chain.last_config;
    chain.opened_at = read_tip(reader)?;
    chain.tip = read_tip(reader)?;
    chain.last_config = reader.u64()?;
    if chain.last_config != config_number || chain.last_config > chain.tip.number {
        return Err(RestoreError::Contradiction("a config block is not the last one"));
    }
    chain.cutter = read_cutter(reader, &chain)?;
    chain.askers = Voters::from_bits(u128::from_be_bytes(reader.array()?));
    if !chain.askers.is_empty() && !chain.cutter.is_open() {
        return Err(RestoreError::Contradiction("replicas ask for a cut that is not open"));
    }
    if view.is_any_correct(chain.askers) || chain.askers.iter().any(|replica| !view.has(replica)) {
        return Err(RestoreError::Contradiction("replicas ask for a cut that was made, or are no members"));
    }
    chain.ordered = read_ordered(reader)?;
    chain.is_moved = read_flag(reader)?;
    let is_at_rest = !chain.cutter.is_open() && chain.ordered.iter().len() == 0;
    if chain.is_moved && !(is_at_rest && chain.last_config == chain.tip.number) {
        return Err(RestoreError::Contradiction("a channel goes on that has moved"));
    }
    Ok(chain)
}

/// The chain as its config block makes it, with nothing after that block.
fn read_configured(reader: &mut Reader, before: &Ordering) -> Result<Chain, RestoreError> {
    let encoded = reader.bytes()?;
    Ok(match before.chains.values().find(|known| known.config_block == encoded) {
        Some(known) => known.only_configured(),
        None => {
            let known = |envelope: &_| before.chains.values().find_map(|chain| chain.config.known_descendant(envelope));
            Chain::open(&ConfigBlock::decode_known(Bytes::copy_from_slice(&encoded), known)?)
        }
    })
}

fn read_cutter(reader: &mut Reader, chain: &Chain) -> Result<Cutter<Bytes>, RestoreError> {
    let batch_size = chain.config.batch_size();
    let envelopes = reader.list(batch_size.max_message_count as usize, LENGTH_BYTES, Reader::bytes)?;
    let mut open = Vec::with_capacity(envelopes.len());
    for envelope in envelopes {
        let envelope = admit_envelope(&chain.channel, envelope)
            .map_err(|reject| RestoreError::Envelope { channel: chain.channel.clone(), reject })?;
        open.push((envelope.size() as u64, Bytes::copy_from_slice(envelope.bytes())));
    }
    let cutter = Cutter::resume(batch_size, open);
    let is_complete = cutter.open().len() >= batch_size.max_message_count as usize;
    if is_complete || cutter.open_bytes() > u64::from(batch_size.preferred_max_bytes) {
        return Err(RestoreError::Contradiction("a cut is open that is complete"));
    }
    Ok(cutter)
}

fn read_ordered(reader: &mut Reader) -> Result<OrderedDigests, RestoreError> {
    let mut ordered = OrderedDigests::default();
    for _ in 0..read_count(reader, ORDERED_DIGESTS_MAX)? {
        if !ordered.insert(reader.array()?) {
            return Err(RestoreError::Contradiction("an envelope was ordered twice"));
        }
    }
    Ok(ordered)
}

fn read_flag(reader: &mut Reader) -> Result<bool, RestoreError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(CodecError::Tag(other).into()),
    }
}

fn read_asks(reader: &mut Reader, ordering: &Ordering) -> Result<OpeningAsks, RestoreError> {
    let mut asks = OpeningAsks::default();
    for _ in 0..read_count(reader, ASKS_PER_REPLICA_MAX * ordering.view.n())? {
        let channel = read_channel(reader).map_err(RestoreError::Channel)?;
        let ask = OpeningAsk { channel, replica: ReplicaId(reader.u16()?), genesis: reader.array()? };
        if ordering.chains.contains_key(&ask.channel) || !ordering.view.has(ask.replica) {
            return Err(RestoreError::Contradiction("an ask for an open channel, or of a stranger"));
        }
        if asks.on_ask(ask).is_none() {
            return Err(RestoreError::Contradiction("too many asks of one replica"));
        }
    }
    Ok(asks)
}

/// A count whose members are read one by one, so that nothing is allocated for those that are not there.
fn read_count(reader: &mut Reader, count_max: usize) -> Result<usize, CodecError> {
    let count = reader.u32()? as usize;
    if count > count_max { Err(CodecError::Count(count as u64)) } else { Ok(count) }
}

impl From<ConfigBlockReject> for RestoreError {
    fn from(reject: ConfigBlockReject) -> Self {
        Self::ConfigBlock(Box::new(reject))
    }
}

/// Of the format of snapshots.
const VERSION: u16 = 2;
/// A length.
const LENGTH_BYTES: usize = 4;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mod_smart::GroupId;

    use super::*;

    fn view() -> View {
        View::flat(GroupId([1; 32]), 4).unwrap()
    }

    #[test]
    fn parts_out_of_their_order_are_refused() {
        let mut ordering = Ordering::new(view());
        for name in ["a", "b"] {
            let channel = ChannelId::new(name).unwrap();
            ordering.asks.on_ask(OpeningAsk { channel, replica: ReplicaId(0), genesis: [1; 32] });
        }
        let snapshot = ordering.snapshot();
        assert!(Ordering::restore(view(), snapshot.clone()).is_ok());
        let (rest, asks) = snapshot.split_at(snapshot.len() - 2 * (LENGTH_BYTES + 1 + 2 + 32));
        let (first, second) = asks.split_at(asks.len() / 2);
        let swapped = Bytes::from([rest, second, first].concat());
        assert!(matches!(Ordering::restore(view(), swapped), Err(RestoreError::Contradiction(_))));
    }
}
