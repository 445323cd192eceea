//! What no correct replica may help to order, by kind.

use std::sync::Arc;

use blockcutter::{BundleBuilder, Command, command};
use bytes::Bytes;
use fabric_channel::config_transaction::EnvelopeSigner as _;
use fabric_channel::{ChannelConfig, ConfigContent};
use fabric_proto::common::HeaderType;
use fabric_proto::{ChannelId, Envelope, canonical};

use super::genesis::{CHANNEL, channel, envelope};
use super::members::Member;
use super::updates::{config_envelope, config_payload, update, wrap};

/// A kind of thing to smuggle into the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contraband {
    /// A configuration whose update no administrator signed.
    UnauthorisedConfig,
    /// A configuration among ordinary envelopes.
    ConfigWithOthers,
    /// A configuration that is not what its update leads to.
    AlteredConfig,
    /// An envelope in another spelling than the one that peers make of it.
    NotCanonical,
    /// An envelope of another channel.
    OtherChannel,
    /// An envelope above the channel's limit.
    TooLarge,
    /// An envelope that no writer signed.
    NoWriter,
    /// A configuration that an update led to once, and does no longer.
    StaleConfig,
}

impl Contraband {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::UnauthorisedConfig,
        Self::ConfigWithOthers,
        Self::AlteredConfig,
        Self::NotCanonical,
        Self::OtherChannel,
        Self::TooLarge,
        Self::NoWriter,
        Self::StaleConfig,
    ];

    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnauthorisedConfig => "unauthorised config",
            Self::ConfigWithOthers => "config with others",
            Self::AlteredConfig => "altered config",
            Self::NotCanonical => "not canonical",
            Self::OtherChannel => "other channel",
            Self::TooLarge => "too large",
            Self::NoWriter => "no writer",
            Self::StaleConfig => "stale config",
        }
    }

    /// The body of a request that holds it, under the last of these configurations. None where it cannot be made.
    #[must_use]
    pub fn body(self, configurations: &[Arc<ChannelConfig>], number: u64) -> Option<Bytes> {
        self.make(configurations, number).ok().flatten()
    }

    fn make(self, configurations: &[Arc<ChannelConfig>], number: u64) -> anyhow::Result<Option<Bytes>> {
        let Some((current, earlier)) = configurations.split_last() else { return Ok(None) };
        let count = 2 + (number % 5) as u32;
        let valid = |config: &ChannelConfig| config_envelope(config, count, number);
        Ok(Some(match self {
            Self::UnauthorisedConfig => {
                let right = Envelope::decode(valid(current)?)?;
                let mut content = ConfigContent::decode(right.data())?;
                let unsigned = update(current, count, number, None)?;
                content.last_update = Some(fabric_proto::common::Envelope {
                    payload: unsigned.payload().clone(),
                    signature: unsigned.signature().clone(),
                });
                config_body(current, rewrapped(&content, number)?)
            }
            Self::AlteredConfig => {
                let right = Envelope::decode(valid(current)?)?;
                let other = Envelope::decode(config_envelope(current, count + 1, number)?)?;
                let mut content = ConfigContent::decode(right.data())?;
                content.config = ConfigContent::decode(other.data())?.config;
                config_body(current, rewrapped(&content, number)?)
            }
            Self::StaleConfig => {
                let Some(before) = earlier.last() else { return Ok(None) };
                config_body(
                    current,
                    wrap(before, &update(before, count, number, Some(&Member::administrator()?))?, number)?,
                )
            }
            Self::ConfigWithOthers => {
                ordinary_body(&channel(), current, [valid(current)?, signed(CHANNEL, number, 10)?])
            }
            Self::NotCanonical => {
                let spelled = [&signed(CHANNEL, number, 10)?[..], &[0x1a, 0]].concat();
                ordinary_body(&channel(), current, [spelled.into()])
            }
            Self::OtherChannel => {
                let elsewhere = ChannelId::new("elsewhere")?;
                ordinary_body(&elsewhere, current, [signed("elsewhere", number, 10)?])
            }
            Self::TooLarge => {
                let bytes = current.batch_size().absolute_max_bytes as usize + 1;
                ordinary_body(&channel(), current, [signed(CHANNEL, number, bytes)?])
            }
            Self::NoWriter => ordinary_body(&channel(), current, [envelope(number, 10)]),
        }))
    }
}

fn signed(channel: &str, number: u64, data_bytes: usize) -> anyhow::Result<Bytes> {
    Ok(Member::user()?.envelope(channel, HeaderType::EndorserTransaction, number, vec![0xda; data_bytes]))
}

/// A CONFIG envelope around this content, whatever it is, well signed.
fn rewrapped(content: &ConfigContent, number: u64) -> anyhow::Result<Bytes> {
    let orderer = Member::orderer()?;
    let payload = config_payload(orderer.creator(), number, content.encode());
    Ok(canonical::encode(&payload, &orderer.signature(&payload)))
}

fn config_body(current: &ChannelConfig, envelope: Bytes) -> Bytes {
    let mut bundle = BundleBuilder::new();
    bundle.push_config(&channel(), current.sequence(), envelope);
    bundle.finish()
}

fn ordinary_body(channel: &ChannelId, current: &ChannelConfig, envelopes: impl Into<Vec<Bytes>>) -> Bytes {
    let (channel, sequence, envelopes) = (channel.clone(), current.sequence(), envelopes.into());
    command::encode(&[Command::Envelopes { channel, sequence, envelopes }])
}
