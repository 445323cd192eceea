//! The channels that this node's administrator has joined: their genesis blocks, what they configure, and their ledgers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use fabric_channel::ChannelConfig;
use fabric_proto::ChannelId;
use fabric_proto::common::Block;
use frontend_shim::channels::Channels;
use frontend_shim::group::{OrderingGroup, ordering_group};
use frontend_shim::ledger::Ledger;
use mod_smart::{GroupId, ReplicaId};
use prost::Message as _;
use tokio::sync::watch;

use crate::application::JoinedChannel;
use crate::keys::{SigningIdentity, SigningKey};
use crate::signer::SignatureStyle;

/// A channel as its genesis block describes it.
#[derive(Debug)]
pub struct ChannelFile {
    /// What it configures.
    pub config: ChannelConfig,
    /// Its members.
    pub group: OrderingGroup,
    /// The block, byte for byte.
    pub genesis: Bytes,
}

/// Which member of a group this node is, and the key that the channel configuration knows it by.
#[derive(Debug)]
pub struct Membership {
    /// Our place.
    pub me: ReplicaId,
    /// The private key of our pinned public key.
    pub pinned: Arc<SigningKey>,
}

/// The channels of one ordering group.
#[derive(Debug)]
pub struct GroupFiles {
    /// The group.
    pub group: OrderingGroup,
    /// One of its channels' configurations: identities and TLS authorities are taken from it.
    pub config: ChannelConfig,
    /// Its channels, with their ledgers.
    pub channels: BTreeMap<ChannelId, JoinedChannel>,
}

impl ChannelFile {
    /// Reads the genesis block of a channel.
    ///
    /// # Errors
    /// The file cannot be read or is not the genesis block of a channel that this version can order; the text names
    /// it and says what is wrong.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let genesis: Bytes =
            std::fs::read(path).with_context(|| format!("cannot read genesis block {}", path.display()))?.into();
        let named = || format!("{} is not a genesis block", path.display());
        let block = Block::decode(genesis.clone()).with_context(named)?;
        let number = block.header.as_ref().map_or(0, |header| header.number);
        ensure!(number == 0, "{}: block {number}; joining from a later block is not possible in this version", named());
        let config = ChannelConfig::from_block(&block).with_context(named)?;
        let group = ordering_group(&config).with_context(named)?;
        Ok(Self { config, group, genesis })
    }
}

/// Finds this node among the consenters: by the enrolment key where consenters have identities (type BFT), by the key of
/// the server's TLS certificate elsewhere (type etcdraft).
///
/// # Errors
/// None of the consenters has our key.
pub fn find_ourselves(
    file: &OrderingGroup,
    identity: &SigningIdentity,
    tls_key: Option<&Arc<SigningKey>>,
) -> anyhow::Result<Membership> {
    let keys = std::iter::once(identity.key()).chain(tls_key);
    for key in keys {
        let ours = |pinned: &Bytes| pinned.as_ref() == key.spki_der();
        if let Some(at) = file.consenters().iter().position(|consenter| ours(consenter.pinned_key())) {
            return Ok(Membership { me: ReplicaId(at as u16), pinned: Arc::clone(key) });
        }
    }
    let consenters: Vec<String> = file.consenters().iter().map(|c| format!("{} at {}", c.id, c.address())).collect();
    bail!(
        "this node is not a consenter of the channel: neither its enrolment key nor its TLS key is one of those of {}",
        consenters.join(", ")
    )
}

/// Opens the ledgers of all channels and sorts them by ordering group.
///
/// # Errors
/// A ledger cannot be opened, holds another channel's history, or two files name the same channel.
pub fn open_channels(
    files: &[PathBuf],
    data_dir: &Path,
    identity: &SigningIdentity,
    tls_key: Option<&Arc<SigningKey>>,
    channels: &Channels,
) -> anyhow::Result<Vec<(Membership, GroupFiles)>> {
    let mut groups: BTreeMap<GroupId, (Membership, GroupFiles)> = BTreeMap::new();
    for path in files {
        let file = ChannelFile::load(path)?;
        let id = file.config.channel_id().clone();
        let membership =
            find_ourselves(&file.group, identity, tls_key).with_context(|| format!("{}", path.display()))?;
        let joined = join(&file, &membership, data_dir, channels).with_context(|| format!("channel {id}"))?;
        let (_, group) = groups.entry(file.group.id()).or_insert_with(|| {
            let files = GroupFiles { group: file.group, config: file.config, channels: BTreeMap::new() };
            (membership, files)
        });
        group.channels.insert(id, joined);
    }
    Ok(groups.into_values().collect())
}

fn join(
    file: &ChannelFile,
    membership: &Membership,
    data_dir: &Path,
    channels: &Channels,
) -> anyhow::Result<JoinedChannel> {
    let id = file.config.channel_id();
    let ledger = Ledger::open(&data_dir.join("ledger").join(id.as_str()))?;
    match ledger.read(0)? {
        None => ledger.append(0, file.genesis.clone())?,
        Some(stored) => ensure!(
            stored.encoded == file.genesis,
            "the ledger in {} began with another genesis block than the one configured",
            data_dir.display()
        ),
    }
    let consenter = file.group.consenter(membership.me).context("no consenter at our place")?;
    let style = if file.config.has_bft_capability() && consenter.identity.is_some() {
        SignatureStyle::Identifier(consenter.id)
    } else {
        SignatureStyle::Creator
    };
    let ledger = Arc::new(ledger);
    Ok(JoinedChannel {
        served: channels.add(file.config.clone(), Arc::clone(&ledger))?,
        ledger,
        style,
        genesis: file.genesis.clone(),
        open: watch::Sender::new(false),
    })
}
