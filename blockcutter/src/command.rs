//! The language of request bodies: what a client can ask the ordering service to do.
//!
//! A body is a list of commands, one after the other until it ends; an empty body is an empty list. Decoding shares the
//! body's memory, checks every count and length before it allocates, and accepts one spelling only: what decodes encodes
//! to the same bytes. Nothing here looks inside an envelope or a genesis block; [`crate::admission`] does.

use bytes::Bytes;
use fabric_proto::{ChannelId, ChannelIdError};
use mod_smart::codec::{CodecError, Reader, Writer};
use mod_smart::{Regency, ReplicaId};

use crate::chain::Tip;
use crate::limits::{BODY_BYTES_MAX, COMMANDS_MAX, CONFIG_BLOCK_BYTES_MAX, ENVELOPES_MAX, ORDERED_DIGESTS_MAX};
use crate::ordered::EnvelopeDigest;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Order these envelopes, in this order.
    Envelopes {
        /// Where they belong.
        channel: ChannelId,
        /// The config sequence under which they were admitted.
        sequence: u64,
        /// Marshalled envelopes in canonical form.
        envelopes: Vec<Bytes>,
    },
    /// Put the next configuration in force.
    Config {
        /// Whose.
        channel: ChannelId,
        /// The config sequence that it leads on from.
        sequence: u64,
        /// A marshalled CONFIG envelope.
        envelope: Bytes,
    },
    /// The sender's timer for the open cut has fired. Replicas only.
    CutAfterTimeout {
        /// Whose cut.
        channel: ChannelId,
        /// The block that the open cut is to become.
        number: u64,
    },
    /// The sender's administrator has joined this channel. Replicas only.
    OpenChannel {
        /// Which.
        channel: ChannelId,
        /// The marshalled genesis block, byte for byte as it will be served.
        genesis: Bytes,
    },
    /// The sender has the chain of this channel, which others ordered so far, and is to order it from now on. Replicas only.
    TakeUpChannel {
        /// Which.
        channel: ChannelId,
        /// The last config block, marshalled without signatures: see [`crate::config_block::without_signatures`].
        config_block: Bytes,
        /// The last block.
        tip: Tip,
        /// What was ordered last, oldest first: the de-duplication memory to begin with.
        ordered: Vec<EnvelopeDigest>,
    },
    /// The sender leads this regency and gives the lead to another replica. The leader only.
    HandOver {
        /// The regency it leads.
        regency: Regency,
        /// Who is to lead instead.
        to: ReplicaId,
    },
}

/// Why bytes are not a list of commands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Longer than any body may be.
    #[error("a body of {bytes} bytes is longer than {BODY_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// More commands than [`COMMANDS_MAX`].
    #[error("more than {COMMANDS_MAX} commands in one body")]
    TooManyCommands,
    /// A block to open a channel with above [`CONFIG_BLOCK_BYTES_MAX`].
    #[error("a config block of {bytes} bytes is longer than {CONFIG_BLOCK_BYTES_MAX}")]
    GenesisTooLong {
        /// Its length.
        bytes: usize,
    },
    /// A CONFIG envelope above [`CONFIG_BLOCK_BYTES_MAX`].
    #[error("a configuration of {bytes} bytes is longer than {CONFIG_BLOCK_BYTES_MAX}")]
    ConfigTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The bytes do not follow the format, or there are more envelopes than [`ENVELOPES_MAX`].
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// What stands for a channel cannot be one.
    #[error(transparent)]
    Channel(#[from] ChannelIdError),
}

/// The body that asks for these commands.
///
/// The caller keeps within [`crate::limits`]; a body beyond them is refused by everybody who decodes it.
#[must_use]
pub fn encode(commands: &[Command]) -> Bytes {
    let mut writer = Writer::with_capacity(commands.iter().map(encoded_bytes).sum());
    for command in commands {
        match command {
            Command::Envelopes { channel, sequence, envelopes } => {
                write_envelopes(&mut writer, channel, *sequence, envelopes);
            }
            Command::Config { channel, sequence, envelope } => {
                write_config(&mut writer, channel, *sequence, envelope);
            }
            Command::CutAfterTimeout { channel, number } => {
                writer.u8(CUT_AFTER_TIMEOUT);
                write_channel(&mut writer, channel);
                writer.u64(*number);
            }
            Command::OpenChannel { channel, genesis } => {
                writer.u8(OPEN_CHANNEL);
                write_channel(&mut writer, channel);
                writer.bytes(genesis);
            }
            Command::TakeUpChannel { channel, config_block, tip, ordered } => {
                writer.u8(TAKE_UP_CHANNEL);
                write_channel(&mut writer, channel);
                writer.bytes(config_block);
                writer.u64(tip.number);
                writer.raw(&tip.header_hash);
                writer.count(ordered.len());
                for digest in ordered {
                    writer.raw(digest);
                }
            }
            Command::HandOver { regency, to } => {
                writer.u8(HAND_OVER);
                writer.u64(regency.0);
                writer.u16(to.0);
            }
        }
    }
    writer.finish()
}

/// The commands of a body. Envelopes and genesis blocks share its memory.
///
/// # Errors
/// The body is not a list of commands, or exceeds a bound of [`crate::limits`].
pub fn decode(body: Bytes) -> Result<Vec<Command>, CommandError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(CommandError::TooLong { bytes: body.len() });
    }
    let mut reader = Reader::new(body);
    let mut envelopes_left = ENVELOPES_MAX;
    let mut commands = Vec::new();
    while reader.left() > 0 {
        if commands.len() == COMMANDS_MAX {
            return Err(CommandError::TooManyCommands);
        }
        commands.push(read_command(&mut reader, &mut envelopes_left)?);
    }
    Ok(commands)
}

pub(crate) fn write_envelopes(writer: &mut Writer, channel: &ChannelId, sequence: u64, envelopes: &[Bytes]) {
    writer.u8(ENVELOPES);
    write_channel(writer, channel);
    writer.u64(sequence);
    writer.count(envelopes.len());
    for envelope in envelopes {
        writer.bytes(envelope);
    }
}

pub(crate) fn write_config(writer: &mut Writer, channel: &ChannelId, sequence: u64, envelope: &Bytes) {
    writer.u8(CONFIG);
    write_channel(writer, channel);
    writer.u64(sequence);
    writer.bytes(envelope);
}

pub(crate) fn write_channel(writer: &mut Writer, channel: &ChannelId) {
    writer.bytes(channel.as_str().as_bytes());
}

pub(crate) fn read_channel(reader: &mut Reader) -> Result<ChannelId, CommandError> {
    // Bytes that are no text turn into characters that no channel name may hold.
    Ok(ChannelId::new(&String::from_utf8_lossy(&reader.bytes()?))?)
}

fn read_command(reader: &mut Reader, envelopes_left: &mut usize) -> Result<Command, CommandError> {
    let tag = reader.u8()?;
    if tag == HAND_OVER {
        return Ok(Command::HandOver { regency: Regency(reader.u64()?), to: ReplicaId(reader.u16()?) });
    }
    if !(ENVELOPES..=TAKE_UP_CHANNEL).contains(&tag) {
        return Err(CodecError::Tag(tag).into());
    }
    let channel = read_channel(reader)?;
    match tag {
        ENVELOPES => {
            let sequence = reader.u64()?;
            let envelopes = reader.list(*envelopes_left, LENGTH_BYTES, Reader::bytes)?;
            *envelopes_left -= envelopes.len();
            Ok(Command::Envelopes { channel, sequence, envelopes })
        }
        CONFIG => {
            let (sequence, envelope) = (reader.u64()?, reader.bytes()?);
            if envelope.len() > CONFIG_BLOCK_BYTES_MAX {
                return Err(CommandError::ConfigTooLong { bytes: envelope.len() });
            }
            Ok(Command::Config { channel, sequence, envelope })
        }
        CUT_AFTER_TIMEOUT => Ok(Command::CutAfterTimeout { channel, number: reader.u64()? }),
        TAKE_UP_CHANNEL => {
            let config_block = read_config_block(reader)?;
            let tip = Tip { number: reader.u64()?, header_hash: reader.array()? };
            let ordered = reader.list(ORDERED_DIGESTS_MAX, DIGEST_BYTES, Reader::array)?;
            Ok(Command::TakeUpChannel { channel, config_block, tip, ordered })
        }
        _ => Ok(Command::OpenChannel { channel, genesis: read_config_block(reader)? }),
    }
}

fn read_config_block(reader: &mut Reader) -> Result<Bytes, CommandError> {
    let block = reader.bytes()?;
    if block.len() > CONFIG_BLOCK_BYTES_MAX {
        return Err(CommandError::GenesisTooLong { bytes: block.len() });
    }
    Ok(block)
}

fn encoded_bytes(command: &Command) -> usize {
    match command {
        Command::Envelopes { channel, envelopes, .. } => {
            group_bytes(channel) + envelopes.iter().map(envelope_bytes).sum::<usize>()
        }
        Command::Config { channel, envelope, .. } => config_bytes(channel, envelope),
        Command::CutAfterTimeout { channel, .. } => 1 + LENGTH_BYTES + channel.as_str().len() + 8,
        Command::OpenChannel { channel, genesis } => {
            1 + LENGTH_BYTES + channel.as_str().len() + envelope_bytes(genesis)
        }
        Command::TakeUpChannel { channel, config_block, ordered, .. } => {
            let digests = LENGTH_BYTES + ordered.len() * DIGEST_BYTES;
            1 + LENGTH_BYTES + channel.as_str().len() + envelope_bytes(config_block) + TIP_BYTES + digests
        }
        Command::HandOver { .. } => 1 + 8 + 2,
    }
}

/// What naming a channel with its sequence and counting its envelopes costs.
pub(crate) fn group_bytes(channel: &ChannelId) -> usize {
    1 + LENGTH_BYTES + channel.as_str().len() + SEQUENCE_BYTES + LENGTH_BYTES
}

/// What a command for this configuration costs.
pub(crate) fn config_bytes(channel: &ChannelId, envelope: &Bytes) -> usize {
    1 + LENGTH_BYTES + channel.as_str().len() + SEQUENCE_BYTES + envelope_bytes(envelope)
}

/// What one envelope costs inside its group.
pub(crate) const fn envelope_bytes(envelope: &Bytes) -> usize {
    LENGTH_BYTES + envelope.len()
}

const ENVELOPES: u8 = 1;
const CUT_AFTER_TIMEOUT: u8 = 2;
const OPEN_CHANNEL: u8 = 3;
const CONFIG: u8 = 4;
const TAKE_UP_CHANNEL: u8 = 5;
const HAND_OVER: u8 = 6;
const DIGEST_BYTES: usize = 32;
/// A number and a hash.
const TIP_BYTES: usize = 8 + 32;
const SEQUENCE_BYTES: usize = 8;
/// A length or a count.
const LENGTH_BYTES: usize = 4;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn channel(name: &str) -> ChannelId {
        ChannelId::new(name).unwrap()
    }

    fn any_bytes(len_max: usize) -> impl Strategy<Value = Bytes> {
        proptest::collection::vec(any::<u8>(), 0..=len_max).prop_map(Bytes::from)
    }

    fn any_command() -> impl Strategy<Value = Command> {
        let channels = || "[a-z][a-z0-9.-]{0,8}".prop_map(|name| ChannelId::new(&name).unwrap());
        prop_oneof![
            (channels(), any::<u64>(), proptest::collection::vec(any_bytes(40), 0..5))
                .prop_map(|(channel, sequence, envelopes)| Command::Envelopes { channel, sequence, envelopes }),
            (channels(), any::<u64>(), any_bytes(40)).prop_map(|(channel, sequence, envelope)| Command::Config {
                channel,
                sequence,
                envelope
            }),
            (channels(), any::<u64>()).prop_map(|(channel, number)| Command::CutAfterTimeout { channel, number }),
            (channels(), any_bytes(60)).prop_map(|(channel, genesis)| Command::OpenChannel { channel, genesis }),
            (channels(), any_bytes(60), any::<(u64, [u8; 32])>(), proptest::collection::vec(any::<[u8; 32]>(), 0..4))
                .prop_map(|(channel, config_block, (number, header_hash), ordered)| {
                    Command::TakeUpChannel { channel, config_block, tip: Tip { number, header_hash }, ordered }
                }),
            any::<(u64, u16)>()
                .prop_map(|(regency, to)| Command::HandOver { regency: Regency(regency), to: ReplicaId(to) }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(commands in proptest::collection::vec(any_command(), 0..6)) {
            let body = encode(&commands);
            prop_assert_eq!(body.len(), commands.iter().map(encoded_bytes).sum::<usize>());
            prop_assert_eq!(decode(body), Ok(commands));
        }

        #[test]
        fn one_list_has_one_spelling(
            commands in proptest::collection::vec(any_command(), 0..4),
            at in any::<proptest::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut body = encode(&commands).to_vec();
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] = byte;
            }
            if let Ok(decoded) = decode(Bytes::from(body.clone())) {
                prop_assert_eq!(encode(&decoded), body);
            }
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(body in any_bytes(200)) {
            let _ = decode(body);
        }
    }

    #[test]
    fn an_empty_body_asks_for_nothing() {
        assert_eq!(decode(Bytes::new()), Ok(Vec::new()));
    }

    #[test]
    fn envelopes_share_the_memory_of_the_body() {
        let body = encode(&[Command::Envelopes {
            channel: channel("ch"),
            sequence: 0,
            envelopes: vec![Bytes::from_static(b"e")],
        }]);
        let Command::Envelopes { envelopes, .. } = decode(body.clone()).unwrap().remove(0) else { panic!("tag") };
        assert!(body.as_ptr_range().contains(&envelopes[0].as_ptr()));
    }

    #[test]
    fn bounds_hold_over_all_commands_of_a_body() {
        let group =
            |count| Command::Envelopes { channel: channel("ch"), sequence: 0, envelopes: vec![Bytes::new(); count] };
        assert!(decode(encode(&[group(ENVELOPES_MAX - 1), group(1)])).is_ok());
        let beyond = decode(encode(&[group(ENVELOPES_MAX - 1), group(2)]));
        assert_eq!(beyond, Err(CommandError::Codec(CodecError::Count(2))));

        let cut = Command::CutAfterTimeout { channel: channel("ch"), number: 1 };
        assert!(decode(encode(&vec![cut.clone(); COMMANDS_MAX])).is_ok());
        assert_eq!(decode(encode(&vec![cut; COMMANDS_MAX + 1])), Err(CommandError::TooManyCommands));

        let open = |len| Command::OpenChannel { channel: channel("ch"), genesis: vec![0; len].into() };
        assert!(decode(encode(&[open(CONFIG_BLOCK_BYTES_MAX)])).is_ok());
        let bytes = CONFIG_BLOCK_BYTES_MAX + 1;
        assert_eq!(decode(encode(&[open(bytes)])), Err(CommandError::GenesisTooLong { bytes }));

        let config = |len| Command::Config { channel: channel("ch"), sequence: 0, envelope: vec![0; len].into() };
        assert!(decode(encode(&[config(CONFIG_BLOCK_BYTES_MAX)])).is_ok());
        assert_eq!(decode(encode(&[config(bytes)])), Err(CommandError::ConfigTooLong { bytes }));

        let bytes = BODY_BYTES_MAX + 1;
        assert_eq!(decode(vec![0; bytes].into()), Err(CommandError::TooLong { bytes }));
    }

    #[test]
    fn what_names_no_channel_and_no_command_is_refused() {
        assert_eq!(decode(Bytes::from_static(&[9])), Err(CommandError::Codec(CodecError::Tag(9))));
        assert_eq!(decode(Bytes::from_static(&[2, 0, 0, 0, 0])), Err(CommandError::Channel(ChannelIdError::Empty)));
        let not_text = decode(Bytes::from_static(&[2, 0, 0, 0, 1, 0xff, 0, 0, 0, 0, 0, 0, 0, 1]));
        assert!(matches!(not_text, Err(CommandError::Channel(ChannelIdError::IllegalCharacter { .. }))));
        assert_eq!(decode(Bytes::from_static(&[2, 0, 0, 0, 1, b'a', 1])), Err(CodecError::Truncated.into()));
        assert_eq!(decode(Bytes::from_static(&[6, 0, 0, 0, 0, 0, 0, 0, 1, 0])), Err(CodecError::Truncated.into()));
    }
}
