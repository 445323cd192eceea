//! The chain as it is before the load: where it ends, and how blocks of it are cut.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use fabric_channel::ChannelConfig;
use fabric_proto::common::Block;
use orderer_node::client::{Connection, Content, DeliverClient, Endpoint, EnvelopeFactory, Position, Seek};

use super::limits::QUESTION_TIMEOUT;

/// Where a chain ends, and what its genesis block says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// Number of the next block.
    pub(super) height: u64,
    /// Hash of the last one's header.
    pub(super) tip: [u8; 32],
    /// Cutting rules, if the genesis block can be read.
    pub(super) cutting: Option<Cutting>,
}

/// When a block is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cutting {
    pub(super) message_count_max: u32,
    pub(super) timeout: Duration,
}

impl Chain {
    /// Asks one endpoint after the other, until one answers.
    ///
    /// # Errors
    /// What the last one says, if none does.
    pub(super) async fn ask_any(endpoints: &[Endpoint], factory: &EnvelopeFactory) -> anyhow::Result<Self> {
        let mut failed = anyhow!("nobody to ask");
        for endpoint in endpoints {
            let connected = endpoint.connect().await.map_err(anyhow::Error::from);
            let answer = match connected {
                Ok(connection) => Self::ask(&connection, factory).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(chain) => return Ok(chain),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Asks for the first and the last block.
    async fn ask(connection: &Connection, factory: &EnvelopeFactory) -> anyhow::Result<Self> {
        let newest = block_at(connection, factory, Position::Newest).await?;
        let genesis = block_at(connection, factory, Position::Oldest).await?;
        let header = newest.header.context("the newest block has no header")?;
        let cutting = ChannelConfig::from_block(&genesis).ok().map(|config| Cutting::of(&config));
        Ok(Self { height: header.number + 1, tip: header.hash(), cutting })
    }
}

impl Cutting {
    /// As a configuration says.
    pub(super) fn of(config: &ChannelConfig) -> Self {
        Self { message_count_max: config.batch_size().max_message_count, timeout: config.batch_timeout() }
    }
}

async fn block_at(connection: &Connection, factory: &EnvelopeFactory, at: Position) -> anyhow::Result<Block> {
    let asking = async {
        let seek = Seek { from: at, to: at, content: Content::Blocks };
        match DeliverClient::open(connection, factory, seek).await?.next().await? {
            Some(block) => Ok(block),
            None => bail!("{}: no block where one was asked for", connection.name()),
        }
    };
    let answer = tokio::time::timeout(QUESTION_TIMEOUT, asking).await;
    answer.with_context(|| format!("{}: no block within {} s", connection.name(), QUESTION_TIMEOUT.as_secs()))?
}
