//! Coming to the height of the others before the group orders anything of a channel.
//!
//! Orderers of Fabric do not all end at the same block. What one of them has may have been delivered to peers, so a node that
//! takes the place of one asks every other member for the blocks after its own newest one. No header is known by its hash
//! here: a block is taken if a peer would take it, by its signature set under the configuration in force.

use std::sync::Arc;

use fabric_channel::ChannelConfig;
use fabric_proto::ChannelId;
use fabric_proto::block::data_hash;
use fabric_proto::common::{Block, BlockHeader, Metadata, OrdererBlockMetadata};
use fabric_proto::metadata::block_metadata;
use frontend_shim::block_body::read_body;
use frontend_shim::block_reading::{Ask, BLOCKS_MAX, GivenBlock, Told};
use frontend_shim::counters::Grievance;
use frontend_shim::ledger::Ledger;
use mod_smart::{ReplicaId, Voters};
use prost::Message as _;
use tokio::time::timeout;

use super::BlockCatchUp;
use super::reading::{Reading, ReadingError};
use super::source::BlockSource;
use crate::verified_chain::VerifiedChain;

/// What the other members have said of their blocks.
#[derive(Debug, Default)]
pub struct Heard {
    /// Who has no block after our newest one.
    pub members: Voters,
    /// Who did not say, and why.
    pub silent: Vec<String>,
    /// Configurations that came into force on the way.
    pub configs: Vec<ChannelConfig>,
}

/// Why a member did not say.
#[derive(Debug, thiserror::Error)]
enum Silent {
    #[error(transparent)]
    Reading(#[from] ReadingError),
    #[error("no answer in time")]
    Late,
    #[error("an answer to something else")]
    OutOfPlace,
    #[error(transparent)]
    Ours(#[from] anyhow::Error),
}

impl BlockCatchUp {
    /// Asks every other member for the blocks after the newest one of this ledger, and stores those that a peer would take.
    pub async fn level(&self, channel: &ChannelId, ledger: &Arc<Ledger>) -> Heard {
        let mut heard = Heard::default();
        for source in &self.shared.sources {
            match self.level_with(source, channel, ledger, &mut heard.configs).await {
                Ok(()) => drop(heard.members.insert(source.replica())),
                Err(silent) => heard.silent.push(format!("{}: {silent}", source.record().name())),
            }
        }
        heard
    }

    /// Afterwards this member has no block more that a peer would take.
    async fn level_with(
        &self,
        source: &BlockSource,
        channel: &ChannelId,
        ledger: &Arc<Ledger>,
        configs: &mut Vec<ChannelConfig>,
    ) -> Result<(), Silent> {
        let patience = self.shared.limits.patience_min;
        let beginning = async {
            let io = source.dial().await.map_err(ReadingError::from)?;
            Ok::<_, Silent>(Reading::begin(io, self.shared.group.id()).await?)
        };
        let mut reading = timeout(patience, beginning).await.map_err(|_| Silent::Late)??;
        let mut chain = off_task(ledger, |ledger| VerifiedChain::below(ledger, ledger.height())).await?;
        loop {
            let from = chain.next();
            reading.ask(&Ask::Blocks { channel: channel.clone(), from, count: BLOCKS_MAX as u16 }).await?;
            loop {
                let told = timeout(patience, reading.next()).await.map_err(|_| Silent::Late)??;
                match told {
                    Told::Block(given) if given.number == chain.next() => {
                        let block =
                            match whole_block(&chain, &given).map(|block| (chain.verify(channel, &block), block)) {
                                Ok((Ok(verified), _)) => verified,
                                // It may have been cut there, and lack its certificate.
                                Ok((Err(what), _)) | Err(what) => {
                                    let detail = format!("channel {channel}, block {}: {what}", given.number);
                                    source.record().complain(Grievance::WrongSignature, &detail);
                                    return Ok(());
                                }
                            };
                        let stored = off_task(ledger, move |ledger| Ok(block.store(ledger).map(|()| block)?)).await?;
                        configs.extend(stored.config().cloned());
                        chain.advance(stored);
                    }
                    Told::End(_) if chain.next() == from => {
                        reading.close().await;
                        return Ok(());
                    }
                    Told::End(_) => break,
                    _ => return Err(Silent::OutOfPlace),
                }
            }
        }
    }
}

impl BlockSource {
    fn replica(&self) -> ReplicaId {
        ReplicaId(self.record().snapshot().replica)
    }
}

/// The block with the header that the chain demands of it.
fn whole_block(chain: &VerifiedChain, given: &GivenBlock) -> Result<Block, String> {
    let data = read_body(&given.body)?;
    let previous_hash = chain.previous_hash().ok_or("nothing is known before it")?;
    let header = BlockHeader {
        number: given.number,
        previous_hash: previous_hash.to_vec().into(),
        data_hash: data_hash(&data.data).to_vec().into(),
    };
    let slot0 = Metadata::decode(given.signatures.clone()).map_err(|error| error.to_string())?;
    let said = OrdererBlockMetadata::decode(slot0.value).map_err(|error| error.to_string())?;
    let last_config = said.last_config.ok_or("it does not name its configuration")?.index;
    let mut metadata = block_metadata(last_config, said.consenter_metadata, Vec::new());
    metadata.metadata[0] = given.signatures.clone();
    Ok(Block { header: Some(header), data: Some(data), metadata: Some(metadata) })
}

/// Files are read and written beside the task.
async fn off_task<T: Send + 'static>(
    ledger: &Arc<Ledger>,
    work: impl FnOnce(&Ledger) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let ledger = Arc::clone(ledger);
    tokio::task::spawn_blocking(move || work(&ledger)).await?
}
