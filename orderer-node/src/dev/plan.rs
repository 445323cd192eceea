//! What is asked for on the command line about a new channel, and what it means.
//!
//! Every option may be left away. At the first start that means its default; later it means what the genesis block
//! says.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use fabric_channel::{ChannelConfig, go_duration};
use fabric_proto::ChannelId;
use serde::Serialize;

use super::genesis::ChannelPlan;

/// Options of a channel that this program makes itself.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelOptions {
    /// How many nodes [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(NODES_MAX)))]
    pub nodes: Option<u16>,
    /// Port of the first node; the others follow [default: 7050]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub base_port: Option<u16>,
    /// Name of the channel [default: devchannel]
    #[arg(long, value_name = "NAME", value_parser = parse_channel)]
    pub channel: Option<ChannelId>,
    /// Envelopes in a block [default: 10]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_message_count: Option<u32>,
    /// How long an envelope waits for its block to fill, as 500ms or 2s [default: 500ms]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub batch_timeout: Option<Duration>,
    /// How many channels, all alike: the further ones are named after the first, as devchannel2 [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(CHANNELS_MAX)))]
    pub channels: Option<u16>,
}

/// Who checks the signatures of clients, in the words of [`crate::config`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum VerificationOption {
    /// The frontend that admits an envelope, and every node.
    #[default]
    Full,
    /// The frontend that admits an envelope, and nobody else.
    Frontends,
}

impl ChannelOptions {
    /// The channel to make.
    ///
    /// # Errors
    /// The options do not fit together.
    pub(super) fn plan(&self) -> anyhow::Result<ChannelPlan> {
        let plan = ChannelPlan {
            channel: match &self.channel {
                Some(channel) => channel.clone(),
                None => ChannelId::new(DEFAULT_CHANNEL).context("the default channel")?,
            },
            nodes: self.nodes.unwrap_or(DEFAULT_NODES),
            base_port: self.base_port.unwrap_or(DEFAULT_BASE_PORT),
            message_count_max: self.max_message_count.unwrap_or(DEFAULT_MESSAGE_COUNT),
            batch_timeout: self.batch_timeout.unwrap_or(DEFAULT_BATCH_TIMEOUT),
            channels: self.channels.unwrap_or(DEFAULT_CHANNELS),
        };
        if plan.base_port.checked_add(plan.nodes - 1).is_none() {
            bail!("--base-port {} leaves no room for {} nodes below port 65536", plan.base_port, plan.nodes);
        }
        Ok(plan)
    }

    /// Does what is asked for agree with the channel that there is, the first of so many?
    ///
    /// # Errors
    /// The first option that does not.
    pub(super) fn check_against(&self, config: &ChannelConfig, channels: usize) -> anyhow::Result<()> {
        let consenters = config.consenters();
        let base_port = consenters.first().map_or(0, |first| first.port);
        check("--nodes", self.nodes.map(usize::from), consenters.len())?;
        check("--base-port", self.base_port, base_port)?;
        check("--channel", self.channel.as_ref(), config.channel_id())?;
        check("--max-message-count", self.max_message_count, config.batch_size().max_message_count)?;
        let batch_timeout = go_duration::format(config.batch_timeout());
        check("--batch-timeout", self.batch_timeout.map(go_duration::format), batch_timeout)?;
        match self.channels {
            Some(asked) if usize::from(asked) != channels => bail!("--channels {asked}: there are {channels}"),
            _ => Ok(()),
        }
    }
}

fn check<T: PartialEq + std::fmt::Display>(option: &str, asked: Option<T>, present: T) -> anyhow::Result<()> {
    match asked {
        Some(asked) if asked != present => bail!("{option} {asked}: the channel there has {present}"),
        _ => Ok(()),
    }
}

fn parse_channel(text: &str) -> Result<ChannelId, String> {
    ChannelId::new(text).map_err(|error| error.to_string())
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    go_duration::parse_positive(text).map_err(|error| error.to_string())
}

/// More would only wait for each other's processors.
const NODES_MAX: u16 = 31;
/// Each of them has its own ledger at every node.
const CHANNELS_MAX: u16 = 1000;
const DEFAULT_CHANNEL: &str = "devchannel";
const DEFAULT_NODES: u16 = 4;
const DEFAULT_CHANNELS: u16 = 1;
const DEFAULT_BASE_PORT: u16 = 7050;
const DEFAULT_MESSAGE_COUNT: u32 = 10;
const DEFAULT_BATCH_TIMEOUT: Duration = Duration::from_millis(500);
