//! Following a channel from outside: blocks are pulled by Deliver from the orderers that the configuration names, and
//! verified as a peer verifies them.
//!
//! That is how a node comes to a channel that it joins from a later block (onboarding), and what it does on a channel that
//! it is no consenter of. One source at a time is believed in nothing: each block needs the number and hash that follow,
//! and a signature set that satisfies BlockValidation under the configuration in force there. Before the join block
//! nothing anchors that configuration, so the chain found is only good once it holds exactly that block; until then a
//! source can at most waste time. Contract, sections 5 and 8.

use std::sync::Arc;
use std::time::Duration;

use fabric_channel::ChannelConfig;
use fabric_proto::common::Block;
use frontend_shim::ledger::{Ledger, LedgerError};
use frontend_shim::tls_identity::TlsIdentity;
use rustls_pki_types::CertificateDer;
use tokio::time::timeout;

use super::join_block::{JoinBlock, OurKeys, group_of};
use crate::client::{ClientError, DeliverClient, Endpoint, EnvelopeFactory, Seek};
use crate::verified_chain::{VerifiedBlock, VerifiedChain};

/// One channel that is followed.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) join: JoinBlock,
    pub(super) ledger: Arc<Ledger>,
    pub(super) keys: OurKeys,
    /// What we show to orderers; without it they are reached in the clear.
    pub(super) tls: Option<TlsIdentity>,
    /// Where among the sources to begin, so that each attempt begins with another one.
    pub(super) attempt: usize,
}

/// Why a channel is followed no longer.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The configuration in force names this node as a consenter, and the join block is stored.
    IsConsenter,
    /// What was pulled is another chain than that of the join block. The ledger is worth nothing.
    OtherChain {
        /// Who gave the block that should have been the join block.
        source: String,
    },
}

/// Why pulling from a source ended.
#[derive(Debug, thiserror::Error)]
enum PullEnd {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("no block for {} s", .0.as_secs())]
    Silent(Duration),
    #[error("it ended a range without end")]
    Ended,
    #[error("block {number}: {why}")]
    Refused { number: u64, why: String },
    #[error("the ledger: {0}")]
    Ledger(#[from] LedgerError),
    #[error("this node is stopping")]
    Stopping,
    #[error("another chain")]
    OtherChain,
}

impl Follower {
    /// Follows until there is nothing more to follow.
    ///
    /// # Errors
    /// The ledger cannot be read or written.
    pub(super) async fn run(self) -> anyhow::Result<Outcome> {
        let mut position = VerifiedChain::below(&self.ledger, self.ledger.height())?;
        let channel = self.join.config.channel_id().clone();
        let (mut failures, mut pause) = (0_u64, PAUSE_MIN);
        for turn in self.attempt.. {
            if self.is_consenter(&position) {
                return Ok(Outcome::IsConsenter);
            }
            let sources = self.sources(&position);
            let Some(endpoint) = sources.get(turn % sources.len().max(1)) else {
                anyhow::bail!("the configuration of the channel names no orderer that blocks could be had from");
            };
            let before = position.next();
            match self.pull(endpoint, &mut position).await {
                Ok(()) => continue,
                Err(PullEnd::OtherChain) => return Ok(Outcome::OtherChain { source: endpoint.name().to_owned() }),
                Err(PullEnd::Ledger(error)) => return Err(error.into()),
                Err(end) => {
                    failures += 1;
                    if failures.is_power_of_two() {
                        let next = position.next();
                        tracing::info!(%channel, source = endpoint.name(), next, failures, "pulling blocks ended: {end}");
                    }
                }
            }
            pause = if position.next() > before { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX) };
            tokio::time::sleep(pause).await;
        }
        unreachable!("turns do not end")
    }

    fn is_consenter(&self, position: &VerifiedChain) -> bool {
        let Some(config) = position.config() else { return false };
        position.next() > self.join.number && group_of(config).is_ok_and(|group| self.keys.membership(&group).is_some())
    }

    /// Every address that the newest configuration known names, with the TLS authorities of the organisation behind it.
    fn sources(&self, position: &VerifiedChain) -> Vec<Endpoint> {
        let config = position.config().filter(|_| position.next() > self.join.number).unwrap_or(&self.join.config);
        let mut sources = Vec::new();
        for organization in config.orderer_organizations().values() {
            let is_theirs = |msp_id: &str| msp_id == organization.msp_id;
            sources.extend(organization.endpoints.iter().filter_map(|it| self.endpoint(it, config, is_theirs)));
        }
        let is_any = |msp_id: &str| config.is_orderer_msp(msp_id);
        sources.extend(config.orderer_addresses().iter().filter_map(|it| self.endpoint(it, config, is_any)));
        sources
    }

    fn endpoint(&self, address: &str, config: &ChannelConfig, is_trusted: impl Fn(&str) -> bool) -> Option<Endpoint> {
        let Some(identity) = &self.tls else { return Some(Endpoint::tcp(address)) };
        let msps = config.msps().iter().filter(|msp| is_trusted(msp.id()));
        let authorities = msps.flat_map(|msp| msp.tls_roots().iter().chain(msp.tls_intermediates()));
        let authorities = authorities.map(|it| CertificateDer::from(it.der().to_vec())).collect();
        let endpoint = Endpoint::trusting(address, authorities, Some(identity));
        endpoint.inspect_err(|error| tracing::warn!(address, %error, "an orderer that cannot be asked for blocks")).ok()
    }

    /// Pulls from one source, until it fails or this node turns out to be a consenter.
    async fn pull(&self, endpoint: &Endpoint, position: &mut VerifiedChain) -> Result<(), PullEnd> {
        let connection = endpoint.connect().await?;
        let mut factory =
            EnvelopeFactory::new(self.join.config.channel_id().clone(), self.keys.identity.as_ref().clone());
        if let Some(identity) = &self.tls {
            factory = factory.bound_to(identity.certificate());
        }
        let mut blocks = DeliverClient::open(&connection, &factory, Seek::from(position.next())).await?;
        while !self.is_consenter(position) {
            let patience = if position.next() <= self.join.number { BLOCK_WAIT_MAX } else { QUIET_MAX };
            let block = timeout(patience, blocks.next()).await.map_err(|_| PullEnd::Silent(patience))??;
            self.take(block.ok_or(PullEnd::Ended)?, position).await?;
        }
        Ok(())
    }

    /// Verifies the next block and stores it.
    async fn take(&self, block: Block, position: &mut VerifiedChain) -> Result<(), PullEnd> {
        let (number, channel) = (position.next(), self.join.config.channel_id());
        let verified = position.verify(channel, &block).map_err(|why| PullEnd::Refused { number, why })?;
        if number == self.join.number && verified.hash() != self.join.header_hash {
            return Err(PullEnd::OtherChain);
        }
        position.advance(self.store(verified).await?);
        Ok(())
    }

    async fn store(&self, block: VerifiedBlock) -> Result<VerifiedBlock, PullEnd> {
        let ledger = Arc::clone(&self.ledger);
        let storing = tokio::task::spawn_blocking(move || block.store(&ledger).map(|()| block));
        Ok(storing.await.map_err(|_| PullEnd::Stopping)??)
    }
}

/// While the join block is ahead, a block is known to exist.
const BLOCK_WAIT_MAX: Duration = Duration::from_secs(10);

/// A channel may be quiet; a source that is silent for so long may also be hiding blocks, and another is asked.
const QUIET_MAX: Duration = Duration::from_secs(60);

const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);
