//! The genesis block of a channel of type BFT over a [`super::crypto_folder`].
//!
//! Reads the folder as configtxgen reads its MSPDir, and hands what it finds to [`fabric_channel::GenesisProfile`].

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use bytes::Bytes;
use fabric_channel::{
    ApplicationOrganizationProfile, BatchSize, BftOptions, ConsenterProfile, GenesisCapabilities, GenesisProfile,
    MspMaterial, OrdererOrganizationProfile,
};
use fabric_proto::ChannelId;
use prost::Message as _;

use super::crypto_folder::{ORDERER_DOMAIN, PEER_DOMAIN};

/// What a new channel is to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChannelPlan {
    pub(super) channel: ChannelId,
    pub(super) nodes: u16,
    pub(super) base_port: u16,
    pub(super) message_count_max: u32,
    pub(super) batch_timeout: Duration,
    /// How many channels of this kind; this is the first.
    pub(super) channels: u16,
}

/// MSP ID of the organisation that runs the orderers.
pub(super) const ORDERER_MSP_ID: &str = "OrdererMSP";
/// MSP ID of the organisation that runs a peer.
pub(super) const PEER_MSP_ID: &str = "Org1MSP";

impl ChannelPlan {
    /// Where the node with this consenter id listens.
    pub(super) fn port(&self, id: u16) -> u16 {
        self.base_port + (id - 1)
    }

    /// The further channels, which differ in nothing but their names.
    ///
    /// # Errors
    /// A name that would be too long.
    pub(super) fn further(&self) -> anyhow::Result<Vec<Self>> {
        let named = |number| {
            let name = format!("{}{number}", self.channel);
            let channel = ChannelId::new(&name).with_context(|| format!("channel {name}"))?;
            Ok(Self { channel, ..self.clone() })
        };
        (2..=self.channels).map(named).collect()
    }

    /// The encoded genesis block for the keys under `crypto`.
    ///
    /// # Errors
    /// A file that cannot be read, or keys that do not make a channel.
    pub(super) fn genesis(&self, crypto: &Path) -> anyhow::Result<Vec<u8>> {
        let orderers = crypto.join("ordererOrganizations").join(ORDERER_DOMAIN);
        let peers = crypto.join("peerOrganizations").join(PEER_DOMAIN);
        let profile = GenesisProfile {
            channel_id: self.channel.clone(),
            capabilities: GenesisCapabilities::default(),
            orderer_organizations: vec![OrdererOrganizationProfile {
                name: "OrdererOrg".to_owned(),
                msp: material(&orderers, ORDERER_DOMAIN, ORDERER_MSP_ID)?,
                endpoints: (1..=self.nodes).map(|id| format!("{HOST}:{}", self.port(id))).collect(),
            }],
            application_organizations: vec![ApplicationOrganizationProfile {
                name: "Org1".to_owned(),
                msp: material(&peers, PEER_DOMAIN, PEER_MSP_ID)?,
                anchor_peers: Vec::new(),
            }],
            consenters: (1..=self.nodes).map(|id| self.consenter(id, &orderers)).collect::<Result<_, _>>()?,
            batch_size: BatchSize {
                max_message_count: self.message_count_max,
                absolute_max_bytes: ENVELOPE_BYTES_MAX,
                preferred_max_bytes: BLOCK_BYTES_PREFERRED,
            },
            batch_timeout: self.batch_timeout,
            // The shorter of the two intervals cuts a block; there is to be one only.
            options: BftOptions { request_batch_max_interval: self.batch_timeout, ..BftOptions::default() },
        };
        let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut nonce = [0; 24];
        aws_lc_rs::rand::fill(&mut nonce).context("the system has no randomness")?;
        let block =
            profile.block(i64::try_from(created.as_secs())?, nonce).context("the keys do not make a channel")?;
        Ok(block.encode_to_vec())
    }

    fn consenter(&self, id: u16, organisation: &Path) -> anyhow::Result<ConsenterProfile> {
        let name = format!("o{id}.{ORDERER_DOMAIN}");
        let folder = organisation.join("orderers").join(&name);
        let tls = read(&folder.join("tls/server.crt"))?;
        Ok(ConsenterProfile {
            id: id.into(),
            host: HOST.to_owned(),
            port: self.port(id),
            msp_id: ORDERER_MSP_ID.to_owned(),
            identity_pem: read(&folder.join(format!("msp/signcerts/{name}-cert.pem")))?,
            client_tls_cert_pem: tls.clone(),
            server_tls_cert_pem: tls,
        })
    }
}

/// What configtxgen takes from the MSP folder of an organisation.
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
    let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(content.into())
}

const HOST: &str = "127.0.0.1";
/// Fabric's sample values.
const ENVELOPE_BYTES_MAX: u32 = 10 * 1024 * 1024;
const BLOCK_BYTES_PREFERRED: u32 = 2 * 1024 * 1024;
