//! What a request body must be before a replica takes it in.
//!
//! [`check`] needs no state, so it runs in parallel ahead of everything else, and what it refuses is never held, never
//! proposed and never written for. The ordering application looks at each envelope again when its turn comes: what is
//! ordered must be well formed even if its admission was somebody else's duty.
//!
//! Sources: canonical form, contract section 3.6; header types, contract section 2.1. Config updates are not processed
//! yet, so CONFIG_UPDATE is refused together with the types that only the ordering service itself may make.

use bytes::Bytes;
use fabric_proto::canonical::CanonicalError;
use fabric_proto::common::HeaderType;
use fabric_proto::{ChannelId, Envelope, EnvelopeError};
use mod_smart::Client;

use crate::command::{self, Command, CommandError};
use crate::config_block::{ConfigBlock, ConfigBlockReject};

/// Checks the body of a request of `origin`.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check(body: &Bytes, origin: Client) -> Result<(), CommandReject> {
    command::decode(body.clone())?.into_iter().try_for_each(|command| check_command(command, origin))
}

/// Why a replica does not take a body in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandReject {
    /// The body is not a list of commands.
    #[error("malformed request body: {0}")]
    Body(#[from] CommandError),
    /// A group of envelopes without an envelope.
    #[error("a group for channel {channel} holds no envelope")]
    NoEnvelopes {
        /// Of which channel.
        channel: ChannelId,
    },
    /// One of its envelopes may not be ordered.
    #[error("envelope {index} for channel {channel}: {reject}")]
    Envelope {
        /// Where it was to be ordered.
        channel: ChannelId,
        /// Its position among those of the same command, from 0.
        index: usize,
        /// What is wrong with it.
        reject: EnvelopeReject,
    },
    /// A command that only replicas may send.
    #[error("a frontend may only have envelopes ordered")]
    NotAllowed,
    /// The genesis block cannot open this channel.
    #[error("genesis block of channel {channel}: {reject}")]
    Genesis {
        /// The channel to open.
        channel: ChannelId,
        /// What is wrong with the block.
        reject: Box<ConfigBlockReject>,
    },
}

/// Why an envelope is not ordered, whatever the state of its channel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeReject {
    /// It does not decode.
    #[error(transparent)]
    Malformed(#[from] EnvelopeError),
    /// Peers would refuse a block that holds it.
    #[error(transparent)]
    NotCanonical(#[from] CanonicalError),
    /// It names another channel than the one it is filed under.
    #[error("its header names the channel {named:?}")]
    OtherChannel {
        /// The name in its header.
        named: String,
    },
    /// CONFIG, CONFIG_UPDATE or ORDERER_TRANSACTION.
    #[error("envelopes of header type {0} are not ordered")]
    HeaderType(i32),
}

/// Decodes an envelope that is to be ordered in `channel` and checks everything that needs no state.
///
/// # Errors
/// What is wrong with it.
pub fn admit_envelope(channel: &ChannelId, envelope: Bytes) -> Result<Envelope, EnvelopeReject> {
    let envelope = Envelope::decode(envelope)?;
    envelope.check_canonical()?;
    if envelope.channel_id() != channel.as_str() {
        return Err(EnvelopeReject::OtherChannel { named: envelope.channel_id().to_owned() });
    }
    if HEADER_TYPES_REFUSED.iter().any(|&refused| envelope.header_type() == i32::from(refused)) {
        return Err(EnvelopeReject::HeaderType(envelope.header_type()));
    }
    Ok(envelope)
}

fn check_command(command: Command, origin: Client) -> Result<(), CommandReject> {
    match (command, origin) {
        (Command::Envelopes { channel, envelopes }, _) => check_envelopes(&channel, envelopes),
        (_, Client::Frontend(_)) => Err(CommandReject::NotAllowed),
        (Command::CutAfterTimeout { .. }, Client::Replica(_)) => Ok(()),
        (Command::OpenChannel { channel, genesis }, Client::Replica(_)) => ConfigBlock::genesis(&channel, genesis)
            .map(|_| ())
            .map_err(|reject| CommandReject::Genesis { channel, reject: Box::new(reject) }),
    }
}

fn check_envelopes(channel: &ChannelId, envelopes: Vec<Bytes>) -> Result<(), CommandReject> {
    if envelopes.is_empty() {
        return Err(CommandReject::NoEnvelopes { channel: channel.clone() });
    }
    for (index, envelope) in envelopes.into_iter().enumerate() {
        admit_envelope(channel, envelope).map_err(|reject| CommandReject::Envelope {
            channel: channel.clone(),
            index,
            reject,
        })?;
    }
    Ok(())
}

/// Any other number is ordered like an ordinary envelope, as Fabric does.
const HEADER_TYPES_REFUSED: [HeaderType; 3] =
    [HeaderType::Config, HeaderType::ConfigUpdate, HeaderType::OrdererTransaction];
