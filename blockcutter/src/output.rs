//! What comes out of the ordering application, in order.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fabric_channel::ChannelConfig;
use fabric_proto::ChannelId;
use fabric_proto::common::BlockHeader;
use mod_smart::{InstanceId, Regency, ReplicaId};

use crate::admission::EnvelopeReject;
use crate::chain::Tip;
use crate::command::CommandError;
use crate::config_block::ConfigBlockReject;

/// What a command has led to.
#[derive(Clone, Debug)]
pub enum Output {
    /// A channel is open: its envelopes are ordered from now on.
    Opened {
        /// Which.
        channel: ChannelId,
        /// Its block 0, byte for byte as the replicas asked for it.
        genesis: Bytes,
        /// What the block configures.
        config: Arc<ChannelConfig>,
    },
    /// A channel that others ordered before is ordered here from now on.
    TakenUp {
        /// Which.
        channel: ChannelId,
        /// Its last block so far.
        tip: Tip,
        /// The configuration in force.
        config: Arc<ChannelConfig>,
    },
    /// The next block of a chain.
    Block(CutBlock),
    /// The block before this brought another configuration, which is in force from now on.
    Configured {
        /// Whose.
        channel: ChannelId,
        /// The configuration.
        config: Arc<ChannelConfig>,
    },
    /// The block before this gave the channel to other nodes. It is the last one here.
    Moved {
        /// Which.
        channel: ChannelId,
        /// That block.
        tip: Tip,
    },
    /// Envelopes of a channel that has moved: they were promised an order, so they are to be passed on to the nodes that
    /// order it now.
    LeftOver {
        /// Which.
        channel: ChannelId,
        /// The config sequence under which they were admitted.
        sequence: u64,
        /// In this order.
        envelopes: Vec<Bytes>,
    },
    /// A cut came into being, or what is open is to become the next number. A replica starts a timer for this number and
    /// asks for the cut if the number is still open when the timer fires.
    CutOpened {
        /// Whose.
        channel: ChannelId,
        /// The block that the cut will become.
        number: u64,
        /// How long the cut may stay open.
        timeout: Duration,
    },
    /// The leader of this regency gives the lead to another replica, who has it from the group: see
    /// [`mod_smart::Event::HandOver`].
    HandOver {
        /// The regency that it leads.
        regency: Regency,
        /// Who is to lead instead.
        to: ReplicaId,
    },
    /// A command, or one envelope of it, had no effect.
    Skipped {
        /// The channel it was for; none if it was for none, or the body could not be read.
        channel: Option<ChannelId>,
        /// Why.
        reason: SkipReason,
    },
}

/// A block that lacks only its signatures. Equal on every replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutBlock {
    /// Which chain it belongs to.
    pub channel: ChannelId,
    /// Number, previous hash, data hash.
    pub header: BlockHeader,
    /// The hash of the header, which the next block will name.
    pub header_hash: [u8; 32],
    /// The envelopes, never none.
    pub data: Vec<Bytes>,
    /// What signatures cover beside the header: a marshalled `OrdererBlockMetadata` that names the last config block and the
    /// instance. It follows from the ordered commands alone.
    pub metadata_value: Bytes,
    /// The number of the channel's last config block; its own if it is one.
    pub last_config: u64,
    /// The instance that completed it.
    pub ordered_by: InstanceId,
    /// Does it hold one CONFIG envelope?
    pub is_config: bool,
}

/// Why something ordered has no effect. Every replica skips it for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// The body is not a list of commands.
    #[error("malformed request body: {0}")]
    Malformed(#[from] CommandError),
    /// A command that only replicas of the group may send, or only the one that leads.
    #[error("only replicas of the group may ask for this, and for a hand-over only the one that leads")]
    NotAllowed,
    /// Nothing is ordered in this channel yet.
    #[error("the channel is not open")]
    ChannelNotOpen,
    /// The envelope may not stand in a block.
    #[error(transparent)]
    Envelope(#[from] EnvelopeReject),
    /// The envelope is above the channel's `absolute_max_bytes`.
    #[error("an envelope of {size} bytes is larger than the channel allows, {size_max}")]
    TooLarge {
        /// Payload and signature, in bytes.
        size: u64,
        /// The channel's limit.
        size_max: u32,
    },
    /// The envelope was ordered lately.
    #[error("the envelope has been ordered already")]
    Duplicate,
    /// A configuration that leads on from another one than that in force: another was ordered before it.
    #[error("it leads on from config sequence {found}, {current} is in force")]
    OtherSequence {
        /// The sequence in force.
        current: u64,
        /// The one that it names.
        found: u64,
    },
    /// A wish to cut a block that is not open: it was cut in the meantime, or nothing waits.
    #[error("block {0} is not open")]
    NotOpenCut(u64),
    /// The block cannot configure the channel.
    #[error(transparent)]
    ConfigBlock(Box<ConfigBlockReject>),
    /// The channel opened before, in the same way.
    #[error("the channel is open")]
    ChannelOpen,
    /// The channel opened before, with another genesis block, or was taken up after another block.
    #[error("the channel is open with another genesis block")]
    OtherGenesis,
    /// Other nodes order the channel now.
    #[error("the channel has moved to other ordering nodes")]
    Moved,
    /// The replica has asked for too many channels that did not open.
    #[error("too many channels asked for by one replica")]
    TooManyAsks,
    /// The group orders as many channels as it can.
    #[error("too many channels")]
    TooManyChannels,
}

impl From<ConfigBlockReject> for SkipReason {
    fn from(reject: ConfigBlockReject) -> Self {
        Self::ConfigBlock(Box::new(reject))
    }
}
