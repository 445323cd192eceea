//! A group of four with a chain of signed blocks, nodes that give it out as real ones do, and nodes that lie.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use blockcutter::Verification;
use bytes::Bytes;
use fabric_channel::{
    BatchSize, BftOptions, BlockVerifier, ChannelConfig, ConsenterProfile, GenesisCapabilities, GenesisProfile,
    MspMaterial, OrdererOrganizationProfile,
};
use fabric_proto::ChannelId;
use fabric_proto::block::data_hash;
use fabric_proto::common::{Block, BlockData, BlockHeader, Envelope};
use fabric_proto::metadata::{block_metadata, metadata_value, signatures_slot};
use frontend_shim::channels::Channels;
use frontend_shim::group::{OrderingGroup, ordering_group};
use frontend_shim::ledger::{Ledger, Tip};
use mod_smart::ReplicaId;
use prost::Message as _;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::sources::Manners;
use crate::block_catch_up::{BlockCatchUp, BlockSource, CatchUpLimits, CatchUpSetup};
use crate::credential_store::CredentialStore;
use crate::disk::DirDisk;
use crate::fault::{Fault, Faults};
use crate::joined::{JoinedChannel, JoinedChannels};
use crate::judge::BodyJudge;
use crate::keys::{LocalMsp, NodeKeyring};
use crate::sessions::{Caller, SessionHost, SessionTable};
use crate::signer::{BlockSigner, SignatureStyle};
use crate::work_pool::WorkPool;

/// The group, with everybody's keys. We are replica 0.
pub(super) struct World {
    pub(super) genesis: Bytes,
    pub(super) config: ChannelConfig,
    pub(super) group: Arc<OrderingGroup>,
    signers: Vec<BlockSigner>,
    certificates: Vec<CertificateDer<'static>>,
    folder: TempDir,
    ledgers: AtomicU64,
}

/// Us, catching up.
pub(super) struct Node {
    pub(super) ledger: Arc<Ledger>,
    pub(super) catch_up: BlockCatchUp,
    pub(super) fault: mpsc::Receiver<Fault>,
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (authority, issuer) = authority();
        let (mut consenters, mut signers, mut certificates) = (Vec::new(), Vec::new(), Vec::new());
        for id in 1..=4_u16 {
            let (identity_key, tls_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
            let identity_pem: Bytes = leaf(&identity_key, &issuer, "orderer").into();
            let tls_pem: Bytes = leaf(&tls_key, &issuer, "tls").into();
            let msp = folder.path().join(format!("msp{id}"));
            for (name, content) in [
                ("signcerts/cert.pem", &identity_pem[..]),
                ("keystore/key.pem", identity_key.serialize_pem().as_bytes()),
                ("cacerts/ca.pem", authority.as_bytes()),
            ] {
                std::fs::create_dir_all(msp.join(name).parent().unwrap()).unwrap();
                std::fs::write(msp.join(name), content).unwrap();
            }
            let identity = LocalMsp::load(&msp, MSP_ID).unwrap().identity().clone();
            signers.push(BlockSigner::new(Arc::new(identity)));
            certificates.push(CertificateDer::from_pem_slice(&tls_pem).unwrap());
            consenters.push(ConsenterProfile {
                id: id.into(),
                host: "127.0.0.1".to_owned(),
                port: 7050 + id,
                msp_id: MSP_ID.to_owned(),
                identity_pem,
                client_tls_cert_pem: tls_pem.clone(),
                server_tls_cert_pem: tls_pem,
            });
        }
        let genesis = profile(authority.into(), consenters).block(1, [7; 24]).unwrap();
        let config = ChannelConfig::from_block(&genesis).unwrap();
        let group = Arc::new(ordering_group(&config).unwrap());
        let genesis = genesis.encode_to_vec().into();
        Self { genesis, config, group, signers, certificates, folder, ledgers: AtomicU64::new(0) }
    }

    /// A new ledger with the genesis block.
    pub(super) fn ledger(&self) -> Arc<Ledger> {
        let ledger = Ledger::open(&self.folder_of(self.ledgers.fetch_add(1, Ordering::Relaxed))).unwrap();
        ledger.append(0, self.genesis.clone()).unwrap();
        Arc::new(ledger)
    }

    /// Where the ledger is that was made as the `number`th, from 0.
    pub(super) fn folder_of(&self, number: u64) -> PathBuf {
        self.folder.path().join(format!("ledger{number}"))
    }

    /// Appends blocks as replica 1 stores them, until there are `height`. Those below `certified` get a certificate.
    pub(super) fn grow(&self, ledger: &Ledger, height: u64, certified: u64) {
        while ledger.height() < height {
            let (number, entry) = (ledger.height(), entry(ledger.height(), ENTRY_BYTES));
            self.append(ledger, 0, vec![entry]);
            if number < certified {
                self.certify(ledger, number, &[1, 2, 3]);
            }
        }
    }

    /// Appends a block with these entries under the configuration of block `last_config`.
    pub(super) fn append(&self, ledger: &Ledger, last_config: u64, entries: Vec<Bytes>) {
        let tip = ledger.tip().unwrap();
        let header = BlockHeader {
            number: tip.number + 1,
            previous_hash: Bytes::copy_from_slice(&tip.header_hash),
            data_hash: Bytes::copy_from_slice(&data_hash(&entries)),
        };
        let signature =
            self.signers[1].sign(style(1), &metadata_value(last_config, Bytes::new()), &header.der()).unwrap();
        let block = Block {
            header: Some(header),
            data: Some(BlockData { data: entries }),
            metadata: Some(block_metadata(last_config, Bytes::new(), vec![signature])),
        };
        ledger.append(tip.number + 1, block.encode_to_vec().into()).unwrap();
    }

    pub(super) fn certify(&self, ledger: &Ledger, number: u64, replicas: &[usize]) {
        let stored = ledger.read(number).unwrap().unwrap();
        let block = Block::decode(stored.encoded()).unwrap();
        let value = metadata_value(fabric_proto::metadata::last_config_index(&block).unwrap(), Bytes::new());
        let sign = |at: &usize| self.signers[*at].sign(style(*at), &value, &stored.header.der()).unwrap();
        ledger.certify(number, signatures_slot(value.clone(), replicas.iter().map(sign).collect())).unwrap();
    }

    /// Our node over this ledger, with these replicas to read from, and little patience.
    pub(super) fn node(&self, ledger: Arc<Ledger>, sources: Vec<BlockSource>) -> Node {
        let limits = CatchUpLimits {
            patience_min: Duration::from_millis(300),
            silent_avoided: Duration::from_secs(1),
            lacking_avoided: Duration::from_millis(20),
            ..CatchUpLimits::default()
        };
        self.node_with(ledger, sources, limits)
    }

    pub(super) fn node_with(&self, ledger: Arc<Ledger>, sources: Vec<BlockSource>, limits: CatchUpLimits) -> Node {
        let (faults, fault) = Faults::channel();
        let catch_up = BlockCatchUp::new(CatchUpSetup {
            group: Arc::clone(&self.group),
            sources,
            signer: self.signers[0].clone(),
            verify: WorkPool::start("verify", 2, 64).unwrap(),
            faults,
            limits,
        });
        Node { ledger, catch_up, fault }
    }

    /// Replica `replica` as we reach it: over this ledger, with these manners.
    pub(super) fn source(&self, replica: u16, ledger: &Arc<Ledger>, manners: Manners) -> BlockSource {
        let ours = self.certificates[0].clone();
        super::sources::source(replica, self.host(replica, ledger), Caller::Tls(ours), manners)
    }

    pub(super) fn host(&self, replica: u16, ledger: &Arc<Ledger>) -> Arc<SessionHost> {
        let keyring = Arc::new(NodeKeyring::new(self.group.id(), Vec::new(), Vec::new()));
        let disk = DirDisk::open(self.folder.path().join(format!("frontends{replica}"))).unwrap();
        let credentials = CredentialStore::open(Arc::new(disk), self.group.id(), &keyring).unwrap();
        let channels = Channels::new().unwrap();
        let joined = JoinedChannel {
            served: channels.add(self.config.clone(), Arc::clone(ledger)).unwrap(),
            ledger: Arc::clone(ledger),
            style: style(replica.into()),
            opened_at: ledger.tip().unwrap(),
            is_taken_over: false,
            opening: arc_swap::ArcSwapOption::empty(),
            open: tokio::sync::watch::Sender::new(true),
            tentative: crate::tentative::TentativeBlocks::default(),
            moved: tokio::sync::watch::Sender::new(None),
        };
        Arc::new(SessionHost {
            me: ReplicaId(replica),
            view: self.group.view().clone(),
            terms: self.group.terms(),
            keyring,
            credentials: Arc::new(credentials),
            faults: Faults::channel().0,
            channels: JoinedChannels::from_iter([(channel(), Arc::new(joined))]),
            signer: self.signers[usize::from(replica)].clone(),
            verify: WorkPool::start("verify", 1, 16).unwrap(),
            judge: BodyJudge::new(Verification::Full).1,
            inbox: mpsc::channel(1).0,
            table: Arc::new(SessionTable::default()),
        })
    }

    /// The ledger holds the same chain as the other one up to here, and every certificate is one that peers believe.
    pub(super) fn check(&self, ledger: &Ledger, truth: &Ledger, height: u64) {
        let verifier = BlockVerifier::new(&self.config);
        for number in 1..height {
            let (ours, theirs) = (ledger.read(number).unwrap().unwrap(), truth.read(number).unwrap().unwrap());
            assert_eq!((&ours.header, ours.data()), (&theirs.header, theirs.data()), "block {number}");
            if ours.certified && number % 100 == 1 {
                let block = Block::decode(ours.encoded()).unwrap();
                verifier.verify_block(&block, number, Some(&ours.header.previous_hash)).unwrap();
            }
        }
    }
}

impl Node {
    pub(super) fn start(&self, tip: Tip) -> bool {
        self.catch_up.start(&channel(), &self.ledger, style(0), (0, tip)).unwrap()
    }

    pub(super) async fn reaches(&self, height: u64) {
        let mut heights = self.ledger.watch();
        let reaching = heights.wait_for(|heights| heights.height >= height);
        let reached = tokio::time::timeout(PATIENCE, reaching).await;
        assert!(reached.is_ok(), "only {} of {height} blocks, {:?}", self.ledger.height(), self.catch_up.report());
    }

    /// Nothing is missing, and everything has been counted.
    pub(super) async fn has_all(&self, height: u64) {
        self.reaches(height).await;
        while !self.catch_up.running.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

pub(super) fn channel() -> ChannelId {
    ChannelId::new("ch1").unwrap()
}

pub(super) fn style(replica: usize) -> SignatureStyle {
    SignatureStyle::Identifier(replica as u32 + 1)
}

/// An entry that no other block has.
pub(super) fn entry(number: u64, bytes: usize) -> Bytes {
    let payload = [&number.to_be_bytes()[..], &vec![b'.'; bytes]].concat();
    Envelope { payload: payload.into(), signature: Bytes::from_static(b"signature") }.encode_to_vec().into()
}

fn profile(authority: Bytes, consenters: Vec<ConsenterProfile>) -> GenesisProfile {
    let msp = MspMaterial {
        msp_id: MSP_ID.to_owned(),
        root_certs: vec![authority.clone()],
        tls_root_certs: vec![authority.clone()],
        node_ou_certifier: Some(authority),
        ..MspMaterial::default()
    };
    GenesisProfile {
        channel_id: channel(),
        capabilities: GenesisCapabilities::default(),
        orderer_organizations: vec![OrdererOrganizationProfile {
            name: "OrdererOrg".to_owned(),
            msp,
            endpoints: vec!["127.0.0.1:7050".to_owned()],
        }],
        application_organizations: Vec::new(),
        consenters,
        batch_size: BatchSize { max_message_count: 10, absolute_max_bytes: 10 << 20, preferred_max_bytes: 2 << 20 },
        batch_timeout: Duration::from_secs(2),
        options: BftOptions::default(),
    }
}

fn authority() -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "ca.example.com");
    (params.self_signed(&key).unwrap().pem(), Issuer::new(params, key))
}

fn leaf(key: &KeyPair, issuer: &Issuer<'_, KeyPair>, unit: &str) -> String {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    params.distinguished_name.push(DnType::CommonName, "node.example.com");
    params.distinguished_name.push(DnType::OrganizationalUnitName, unit);
    params.signed_by(key, issuer).unwrap().pem()
}

const MSP_ID: &str = "OrdererMSP";
pub(super) const ENTRY_BYTES: usize = 4000;
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
