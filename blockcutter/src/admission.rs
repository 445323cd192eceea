//! What a request body must be before a replica takes it in.
//!
//! Two questions, both asked in parallel ahead of everything else. [`check`] needs no state: what it refuses no correct
//! client sends and no correct replica passes on. [`judge`] asks in addition whether the channel's configuration permits
//! what the body holds, under the config sequence that the body names; what it refuses is not held here, so it is never
//! acknowledged, proposed or written for. Whoever names a sequence that is not in force here any more is judged when its
//! turn comes, because what was acknowledged once stays so.
//!
//! The ordering application looks at each envelope again when its turn comes: what is ordered must be well formed even if
//! its admission was somebody else's duty.
//!
//! Sources: canonical form, contract section 3.6; header types and filters, section 2.1; CONFIG, section 2.6.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use fabric_channel::ChannelConfig;
use fabric_channel::config_transaction::{self, ConfigTransactionReject};
use fabric_channel::filters::{self, FilterReject};
use fabric_proto::canonical::CanonicalError;
use fabric_proto::common::HeaderType;
use fabric_proto::{ChannelId, Envelope, EnvelopeError};
use mod_smart::Client;

use crate::command::{self, Command, CommandError};
use crate::config_block::{ConfigBlock, ConfigBlockReject};
use crate::opening::Opening;

/// The configurations in force, by channel.
pub type Configurations = BTreeMap<ChannelId, Arc<ChannelConfig>>;

/// How far a node relies on the frontends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// Not at all: every node verifies every signature against the Writers policy.
    #[default]
    Full,
    /// For ordinary envelopes: whether their creators may write is for the frontends to see to, as in the thesis.
    Frontends,
}

/// Checks the form of the body of a request of `origin`.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check(body: &Bytes, origin: Client) -> Result<(), CommandReject> {
    read(body, origin).map(|_| ())
}

/// Checks the body of a request of `origin`, and whether these configurations permit what it holds.
///
/// # Errors
/// The first thing that is wrong with it, or that it cannot be judged here yet.
pub fn judge(
    body: &Bytes,
    origin: Client,
    configurations: &Configurations,
    verification: Verification,
) -> Result<(), Objection> {
    for (channel, sequence, what) in read(body, origin)? {
        let config = configurations.get(&channel).filter(|config| config.sequence() >= sequence);
        let Some(config) = config else { return Err(Objection::Ahead { channel, sequence }) };
        if config.sequence() > sequence {
            continue;
        }
        let permitted = match &what {
            Ordered::Envelopes(envelopes) => {
                let mut results = envelopes.iter().map(|envelope| permit(config, envelope, verification)).enumerate();
                results.find_map(|(index, result)| Some((index, result.err()?)))
            }
            Ordered::Config(envelope) => {
                config_transaction::verify(config, envelope).err().map(|reject| (0, reject.into()))
            }
        };
        if let Some((index, reject)) = permitted {
            return Err(Objection::NotPermitted { channel, index, reject });
        }
    }
    Ok(())
}

/// Why a body is not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// No correct sender sends it.
    #[error(transparent)]
    Form(#[from] CommandReject),
    /// It names a configuration that is not in force here yet, if there is such a one.
    #[error("config sequence {sequence} of channel {channel} is not in force here yet")]
    Ahead {
        /// Which channel.
        channel: ChannelId,
        /// The sequence that it names.
        sequence: u64,
    },
    /// No correct frontend admits it under the configuration that it names.
    #[error("envelope {index} for channel {channel}: {reject}")]
    NotPermitted {
        /// Where it was to be ordered.
        channel: ChannelId,
        /// Its position among those of the same command, from 0.
        index: usize,
        /// What is wrong with it.
        reject: EnvelopeReject,
    },
}

/// Why a replica does not take a body in, whatever the state of its channels.
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
    /// The block cannot open this channel.
    #[error("block to open channel {channel} with: {reject}")]
    Genesis {
        /// The channel to open.
        channel: ChannelId,
        /// What is wrong with the block.
        reject: Box<ConfigBlockReject>,
    },
}

/// Why an envelope is not ordered.
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
    /// CONFIG_UPDATE or ORDERER_TRANSACTION, or CONFIG where an ordinary one belongs, or the other way round.
    #[error("envelopes of header type {0} are not ordered so")]
    HeaderType(i32),
    /// The channel is under maintenance.
    #[error("ordinary envelopes are not ordered in maintenance mode")]
    Maintenance,
    /// The configuration does not permit it.
    #[error(transparent)]
    Filter(#[from] FilterReject),
    /// It does not lead to the next configuration.
    #[error(transparent)]
    Config(#[from] Box<ConfigTransactionReject>),
}

impl From<ConfigTransactionReject> for EnvelopeReject {
    fn from(reject: ConfigTransactionReject) -> Self {
        Self::Config(Box::new(reject))
    }
}

/// Decodes an ordinary envelope that is to be ordered in `channel` and checks everything that needs no state.
///
/// # Errors
/// What is wrong with it.
pub fn admit_envelope(channel: &ChannelId, envelope: Bytes) -> Result<Envelope, EnvelopeReject> {
    let envelope = admit(channel, envelope)?;
    if HEADER_TYPES_REFUSED.iter().any(|&refused| envelope.header_type() == i32::from(refused)) {
        return Err(EnvelopeReject::HeaderType(envelope.header_type()));
    }
    Ok(envelope)
}

/// Decodes a CONFIG envelope that is to be ordered in `channel` and checks everything that needs no state.
///
/// # Errors
/// What is wrong with it.
pub fn admit_config(channel: &ChannelId, envelope: Bytes) -> Result<Envelope, EnvelopeReject> {
    let envelope = admit(channel, envelope)?;
    if !envelope.is_config() {
        return Err(EnvelopeReject::HeaderType(envelope.header_type()));
    }
    Ok(envelope)
}

/// Does this configuration permit an ordinary envelope?
///
/// # Errors
/// Why it does not.
pub fn permit(config: &ChannelConfig, envelope: &Envelope, verification: Verification) -> Result<(), EnvelopeReject> {
    if filters::is_in_maintenance(config) {
        return Err(EnvelopeReject::Maintenance);
    }
    if verification == Verification::Full {
        filters::check(config, envelope, None)?;
    }
    Ok(())
}

/// What is to be ordered, decoded.
enum Ordered {
    Envelopes(Vec<Envelope>),
    Config(Box<Envelope>),
}

fn read(body: &Bytes, origin: Client) -> Result<Vec<(ChannelId, u64, Ordered)>, CommandReject> {
    let commands = command::decode(body.clone())?;
    commands.into_iter().filter_map(|command| read_command(command, origin).transpose()).collect()
}

fn read_command(command: Command, origin: Client) -> Result<Option<(ChannelId, u64, Ordered)>, CommandReject> {
    match (command, origin) {
        (Command::Envelopes { channel, sequence, envelopes }, _) => {
            let envelopes = read_envelopes(&channel, envelopes)?;
            Ok(Some((channel, sequence, Ordered::Envelopes(envelopes))))
        }
        (Command::Config { channel, sequence, envelope }, _) => match admit_config(&channel, envelope) {
            Ok(envelope) => Ok(Some((channel, sequence, Ordered::Config(Box::new(envelope))))),
            Err(reject) => Err(CommandReject::Envelope { channel, index: 0, reject }),
        },
        (_, Client::Frontend(_)) => Err(CommandReject::NotAllowed),
        (Command::CutAfterTimeout { .. } | Command::HandOver { .. }, Client::Replica(_)) => Ok(None),
        (Command::OpenChannel { channel, genesis }, Client::Replica(_)) => ConfigBlock::genesis(&channel, genesis)
            .map(|_| None)
            .map_err(|reject| CommandReject::Genesis { channel, reject: Box::new(reject) }),
        (Command::TakeUpChannel { channel, config_block, tip, ordered }, Client::Replica(_)) => {
            Opening::at_tip(&channel, config_block, tip, ordered)
                .map(|_| None)
                .map_err(|reject| CommandReject::Genesis { channel, reject: Box::new(reject) })
        }
    }
}

fn read_envelopes(channel: &ChannelId, envelopes: Vec<Bytes>) -> Result<Vec<Envelope>, CommandReject> {
    if envelopes.is_empty() {
        return Err(CommandReject::NoEnvelopes { channel: channel.clone() });
    }
    let admitted = envelopes.into_iter().enumerate().map(|(index, envelope)| {
        admit_envelope(channel, envelope).map_err(|reject| CommandReject::Envelope {
            channel: channel.clone(),
            index,
            reject,
        })
    });
    admitted.collect()
}

fn admit(channel: &ChannelId, envelope: Bytes) -> Result<Envelope, EnvelopeReject> {
    let envelope = Envelope::decode(envelope)?;
    envelope.check_canonical()?;
    if envelope.channel_id() != channel.as_str() {
        return Err(EnvelopeReject::OtherChannel { named: envelope.channel_id().to_owned() });
    }
    Ok(envelope)
}

/// Any other number is ordered like an ordinary envelope, as Fabric does.
const HEADER_TYPES_REFUSED: [HeaderType; 3] =
    [HeaderType::Config, HeaderType::ConfigUpdate, HeaderType::OrdererTransaction];
