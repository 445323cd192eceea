//! Keys that real Fabric tools made, and genesis blocks over them for whatever ports are free.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use fabric_channel::{
    ApplicationOrganizationProfile, BatchSize, BftOptions, ConsenterProfile, GenesisCapabilities, GenesisProfile,
    MspMaterial, OrdererOrganizationProfile,
};
use fabric_proto::ChannelId;
use orderer_node::client::EnvelopeFactory;
use prost::Message as _;

use crate::crypto_folder::{CryptoFolder, ORDERER_DOMAIN, PEER_DOMAIN};

/// Cutting rules of a test channel.
#[derive(Clone, Debug)]
pub struct Cutting {
    /// Envelopes in a block.
    pub message_count_max: u32,
    /// Bytes that a block should not exceed.
    pub block_bytes_preferred: u32,
    /// How long an envelope may wait for its block to fill.
    pub timeout: Duration,
}

impl Default for Cutting {
    fn default() -> Self {
        Self { message_count_max: 25, block_bytes_preferred: 2 << 20, timeout: Duration::from_millis(250) }
    }
}

/// The folder of data that the tests of this crate read.
#[must_use]
pub fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// A crypto folder as cryptogen lays it out: four orderers, and User1 of Org1.
#[must_use]
pub fn crypto() -> PathBuf {
    data().join("crypto")
}

/// The folder of an orderer, counted from 1: `msp` and `tls` are in it.
#[must_use]
pub fn orderer(id: u32) -> PathBuf {
    CryptoFolder::at(&crypto()).orderer(id)
}

/// The authority of the orderers' server certificates.
#[must_use]
pub fn tls_authority() -> PathBuf {
    CryptoFolder::at(&crypto()).tls_authority()
}

/// Signs as User1 of Org1.
///
/// # Errors
/// The name is no channel's, or the keys are not there.
pub fn user(channel: &str) -> anyhow::Result<EnvelopeFactory> {
    Ok(EnvelopeFactory::load(ChannelId::new(channel)?, &user_msp(), PEER_MSP_ID)?)
}

/// The MSP folder of the administrator of the orderers' organisation.
#[must_use]
pub fn orderer_administrator_msp() -> PathBuf {
    CryptoFolder::at(&crypto()).orderer_administrator().0
}

/// The MSP folder of User1 of Org1.
#[must_use]
pub fn user_msp() -> PathBuf {
    CryptoFolder::at(&crypto()).user().0
}

/// The genesis block of a channel of type BFT: four orderers, the first at `port`, the others behind it.
///
/// # Errors
/// The keys are not there.
pub fn genesis(channel: &str, port: u16, cutting: &Cutting) -> anyhow::Result<Bytes> {
    genesis_of(channel, port, cutting, &(1..=ORDERERS).collect::<Vec<_>>())
}

/// The same with some of the orderers as consenters; node 1 would be at `port`, and so on.
///
/// # Errors
/// The keys are not there.
pub fn genesis_of(channel: &str, port: u16, cutting: &Cutting, ids: &[u16]) -> anyhow::Result<Bytes> {
    genesis_block(&profile_of(channel, port, cutting, ids)?)
}

/// What that block is made of.
///
/// # Errors
/// The keys are not there.
pub fn profile_of(channel: &str, port: u16, cutting: &Cutting, ids: &[u16]) -> anyhow::Result<GenesisProfile> {
    profile_with(&crypto(), channel, port, cutting, ids)
}

/// The same with the keys in this folder, laid out as cryptogen does.
///
/// # Errors
/// The keys are not there.
pub fn profile_with(
    keys: &Path,
    channel: &str,
    port: u16,
    cutting: &Cutting,
    ids: &[u16],
) -> anyhow::Result<GenesisProfile> {
    let orderers = keys.join("ordererOrganizations").join(ORDERER_DOMAIN);
    let peers = keys.join("peerOrganizations").join(PEER_DOMAIN);
    let keys = CryptoFolder::at(keys);
    Ok(GenesisProfile {
        channel_id: ChannelId::new(channel)?,
        capabilities: GenesisCapabilities::default(),
        orderer_organizations: vec![OrdererOrganizationProfile {
            name: "OrdererOrg".to_owned(),
            msp: material(&orderers, ORDERER_DOMAIN, ORDERER_MSP_ID)?,
            endpoints: ids.iter().map(|id| format!("127.0.0.1:{}", port + id - 1)).collect(),
        }],
        application_organizations: vec![ApplicationOrganizationProfile {
            name: "Org1".to_owned(),
            msp: material(&peers, PEER_DOMAIN, PEER_MSP_ID)?,
            anchor_peers: Vec::new(),
        }],
        consenters: ids.iter().map(|&id| consenter(&keys, u32::from(id), port + id - 1)).collect::<Result<_, _>>()?,
        batch_size: BatchSize {
            max_message_count: cutting.message_count_max,
            absolute_max_bytes: 10 << 20,
            preferred_max_bytes: cutting.block_bytes_preferred,
        },
        batch_timeout: cutting.timeout,
        options: BftOptions::default(),
    })
}

/// The genesis block of a profile.
///
/// # Errors
/// Its keys do not make a channel.
pub fn genesis_block(profile: &GenesisProfile) -> anyhow::Result<Bytes> {
    // Equal profiles give equal blocks: nothing of a test depends on when it runs.
    let block = profile.block(1_750_000_000, [7; 24]).context("the keys do not make a channel")?;
    Ok(block.encode_to_vec().into())
}

fn consenter(keys: &CryptoFolder, id: u32, port: u16) -> anyhow::Result<ConsenterProfile> {
    let folder = keys.orderer(id);
    let tls = read(&folder.join("tls/server.crt"))?;
    Ok(ConsenterProfile {
        id,
        host: "127.0.0.1".to_owned(),
        port,
        msp_id: ORDERER_MSP_ID.to_owned(),
        identity_pem: read(&folder.join(format!("msp/signcerts/o{id}.{ORDERER_DOMAIN}-cert.pem")))?,
        client_tls_cert_pem: tls.clone(),
        server_tls_cert_pem: tls,
    })
}

fn material(organisation: &Path, domain: &str, msp_id: &str) -> anyhow::Result<MspMaterial> {
    let msp = organisation.join("msp");
    let root = read(&msp.join(format!("cacerts/ca.{domain}-cert.pem")))?;
    Ok(MspMaterial {
        msp_id: msp_id.to_owned(),
        root_certs: vec![root.clone()],
        tls_root_certs: vec![read(&msp.join(format!("tlscacerts/tlsca.{domain}-cert.pem")))?],
        node_ou_certifier: Some(root),
        ..MspMaterial::default()
    })
}

fn read(path: &Path) -> anyhow::Result<Bytes> {
    Ok(fs::read(path).with_context(|| format!("cannot read {}", path.display()))?.into())
}

/// How many orderers there are keys for.
pub const ORDERERS: u16 = 4;
/// The MSP of the organisation that runs the orderers.
pub const ORDERER_MSP_ID: &str = "OrdererMSP";
/// The MSP of the organisation that has users.
pub const PEER_MSP_ID: &str = "Org1MSP";
