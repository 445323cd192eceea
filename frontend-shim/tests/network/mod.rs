//! An ordering group for tests: keys, a genesis block, a chain of signed blocks, and nodes that do what a test says.
#![allow(dead_code, clippy::unwrap_used)]

pub mod world;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fabric_channel::{
    ApplicationOrganizationProfile, BatchSize, BftOptions, ChannelConfig, ConfigContent, ConsenterProfile,
    GenesisCapabilities, GenesisProfile, MspMaterial, OrdererOrganizationProfile,
};
use fabric_proto::ChannelId;
use fabric_proto::block::{data_hash, header_der, header_hash};
use fabric_proto::common::{Block, BlockData, ChannelHeader, Envelope, Header, HeaderType, MetadataSignature, Payload};
use fabric_proto::low_s::{Curve, to_low_s};
use fabric_proto::metadata::{SignerHeader, metadata_value, signature_preimage, signatures_slot};
use fabric_proto::orderer::BatchTimeout;
use frontend_shim::certainty::Certainty;
use frontend_shim::channels::{Channel, Channels};
use frontend_shim::frame::{Bodies, Hello, Opened, Push, ToFrontend, ToNode, VERSION, Welcome};
use frontend_shim::framing::{FRAME_BYTES_MAX, FrameReader, FrameWriter};
use frontend_shim::frontend::{Frontend, FrontendHandle, FrontendSetup, NodeAddress, NodeEndpoint};
use frontend_shim::group::{OrderingGroup, ordering_group};
use frontend_shim::ledger::Ledger;
use frontend_shim::signing::{SigningIdentity, SigningKey};
use frontend_shim::tls_identity::TlsIdentity;
use mod_smart::{Answer, GroupId, ReplicaId, Request, Sealed, View};
use prost::Message as _;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SigningKey as _};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadHalf, WriteHalf};

/// An ordering group, with the private keys of all.
pub struct Network {
    pub genesis: Block,
    pub config: ChannelConfig,
    pub tls: Vec<TlsIdentity>,
    /// Certificates and keys of the same.
    pub tls_pem: Vec<(Vec<u8>, Vec<u8>)>,
    identities: Vec<KeyPair>,
}

/// A block before anybody signed it.
#[derive(Clone, Debug)]
pub struct Unsigned {
    pub number: u64,
    pub previous_hash: [u8; 32],
    pub data_hash: [u8; 32],
    pub value: Bytes,
    pub body: Bytes,
}

impl Network {
    /// `n` consenters with ids from 1; `ports` are where they listen.
    pub fn new(ports: &[u16]) -> Self {
        Self::with_organizations(ports, Vec::new())
    }

    /// The same, with organizations that run peers.
    pub fn with_organizations(ports: &[u16], application_organizations: Vec<ApplicationOrganizationProfile>) -> Self {
        let (authority, issuer) = authority();
        let identities: Vec<KeyPair> = ports.iter().map(|_| KeyPair::generate().unwrap()).collect();
        let (mut tls, mut tls_pem) = (Vec::new(), Vec::new());
        let mut consenters = Vec::new();
        for ((id, port), key) in (1..).zip(ports).zip(&identities) {
            let identity_pem: Bytes = leaf(key, &issuer, "orderer").into();
            let tls_key = KeyPair::generate().unwrap();
            let tls_pem_of: Bytes = leaf(&tls_key, &issuer, "tls").into();
            tls_pem.push((tls_pem_of.to_vec(), tls_key.serialize_pem().into_bytes()));
            tls.push(TlsIdentity::from_pem(&tls_pem_of, tls_key.serialize_pem().as_bytes()).unwrap());
            consenters.push(ConsenterProfile {
                id,
                host: "127.0.0.1".to_owned(),
                port: *port,
                msp_id: "OrdererMSP".to_owned(),
                identity_pem,
                client_tls_cert_pem: tls_pem_of.clone(),
                server_tls_cert_pem: tls_pem_of,
            });
        }
        let msp = MspMaterial {
            msp_id: "OrdererMSP".to_owned(),
            root_certs: vec![authority.clone()],
            tls_root_certs: vec![authority.clone()],
            node_ou_certifier: Some(authority),
            ..MspMaterial::default()
        };
        let profile = GenesisProfile {
            channel_id: channel_id(),
            capabilities: GenesisCapabilities::default(),
            orderer_organizations: vec![OrdererOrganizationProfile {
                name: "OrdererOrg".to_owned(),
                msp,
                endpoints: vec!["127.0.0.1:7050".to_owned()],
            }],
            application_organizations,
            consenters,
            batch_size: BatchSize { max_message_count: 10, absolute_max_bytes: 10 << 20, preferred_max_bytes: 2 << 20 },
            batch_timeout: Duration::from_secs(2),
            options: BftOptions::default(),
        };
        let genesis = profile.block(1, [7; 24]).unwrap();
        let config = ChannelConfig::from_block(&genesis).unwrap();
        Self { genesis, config, tls, tls_pem, identities }
    }

    pub fn group(&self) -> OrderingGroup {
        ordering_group(&self.config).unwrap()
    }

    /// The first consenter as one who writes.
    pub fn writer(&self) -> SigningIdentity {
        let certificate = self.config.consenters()[0].identity.as_ref().unwrap().certificate.clone();
        let key = SigningKey::from_pem(self.identities[0].serialize_pem().as_bytes()).unwrap();
        SigningIdentity::new("OrdererMSP", certificate, Arc::new(key))
    }

    pub fn genesis_hash(&self) -> [u8; 32] {
        self.genesis.header.as_ref().unwrap().hash()
    }

    /// Blocks 1 to `count`, with bodies of `entry_bytes` bytes or a little more.
    pub fn chain(&self, count: u64, entry_bytes: usize) -> Vec<Unsigned> {
        let mut previous_hash = self.genesis_hash();
        let mut chain = Vec::new();
        for number in 1..=count {
            let block = unsigned(number, previous_hash, entry_bytes, b"");
            previous_hash = header_hash(number, &block.previous_hash, &block.data_hash);
            chain.push(block);
        }
        chain
    }

    /// Block 1 with the next configuration, whose batch timeout is another one.
    pub fn config_block(&self, timeout: &str) -> Unsigned {
        let mut tree = self.config.bundle().tree().clone();
        tree.sequence += 1;
        let orderer = tree.root.as_mut().unwrap().groups.get_mut("Orderer").unwrap();
        let value = BatchTimeout { timeout: timeout.to_owned() }.encode_to_vec();
        orderer.values.get_mut("BatchTimeout").unwrap().value = value.into();
        let header = ChannelHeader {
            r#type: HeaderType::Config.into(),
            channel_id: channel_id().to_string(),
            ..ChannelHeader::default()
        };
        let header = Header { channel_header: header.encode_to_vec().into(), signature_header: Bytes::new() };
        let data = ConfigContent { config: Some(tree), last_update: None }.encode().into();
        let payload = Payload { header: Some(header), data }.encode_to_vec().into();
        let entry = Envelope { payload, signature: Bytes::from_static(b"signature") }.encode_to_vec().into();
        let data = BlockData { data: vec![entry] };
        Unsigned {
            number: 1,
            previous_hash: self.genesis_hash(),
            data_hash: data_hash(&data.data),
            value: metadata_value(1, Bytes::from_static(b"position")),
            body: data.encode_to_vec().into(),
        }
    }

    /// A node's push of a block, without its body.
    pub fn push(&self, replica: usize, block: &Unsigned) -> Push {
        let signer = SignerHeader::from_identifier(replica as u32 + 1, Bytes::from_static(b"nonce"));
        let der = header_der(block.number, &block.previous_hash, &block.data_hash);
        let signature = self.identities[replica].sign(&signature_preimage(&block.value, &signer, &der)).unwrap();
        let signature = to_low_s(Curve::P256, &signature).unwrap();
        Push {
            channel: channel_id(),
            number: block.number,
            certainty: Certainty::Decided,
            previous_hash: block.previous_hash,
            data_hash: block.data_hash,
            metadata_value: block.value.clone(),
            signature: signer.into_signature(signature.into()).encode_to_vec().into(),
            body: None,
        }
    }

    /// The content of the signatures slot of a block that these nodes signed.
    pub fn certificate(&self, block: &Unsigned, replicas: &[usize]) -> Bytes {
        let signature = |replica: &usize| MetadataSignature::decode(self.push(*replica, block).signature).unwrap();
        signatures_slot(block.value.clone(), replicas.iter().map(signature).collect())
    }

    /// A channel with a ledger that holds the genesis block.
    pub fn channel(&self) -> LocalChannel {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        ledger.append(0, self.genesis.encode_to_vec().into()).unwrap();
        let channels = Channels::new().unwrap();
        let channel = channels.add(self.config.clone(), Arc::new(ledger)).unwrap();
        LocalChannel { channel, channels, _dir: dir }
    }

    /// A frontend with a link inside the process to each node, and the nodes' ends of the links.
    pub fn frontend(&self, bodies: Bodies) -> (FrontendHandle, Vec<DuplexStream>) {
        let mut ends = Vec::new();
        let nodes = self.group().view().replicas().map(|replica| {
            let (near, far) = tokio::io::duplex(1 << 16);
            ends.push(far);
            NodeEndpoint { replica, address: NodeAddress::InProcess(near) }
        });
        let nodes = nodes.collect();
        let setup =
            FrontendSetup { group: self.group(), nodes, identity: self.tls[0].clone(), bodies, session_window: 4096 };
        (Frontend::start(setup).unwrap(), ends)
    }

    /// The same, with every node welcoming the frontend and saying that the channel is open.
    pub async fn welcomed(&self, bodies: Bodies) -> (FrontendHandle, Vec<FakeNode<DuplexStream>>) {
        let (frontend, ends) = self.frontend(bodies);
        let mut nodes = Vec::new();
        for (replica, end) in ends.into_iter().enumerate() {
            nodes.push(FakeNode::welcome(end, replica, vec![self.opened()]).await);
        }
        (frontend, nodes)
    }

    pub fn opened(&self) -> Opened {
        Opened { channel: channel_id(), genesis: self.genesis_hash(), height: 1 }
    }
}

/// A channel as a frontend has it, in a folder that goes away with it.
pub struct LocalChannel {
    pub channel: Arc<Channel>,
    pub channels: Channels,
    _dir: TempDir,
}

/// A node's end of a session.
pub struct FakeNode<IO> {
    pub hello: Hello,
    reader: FrameReader<ReadHalf<IO>>,
    writer: FrameWriter<WriteHalf<IO>>,
}

impl<IO: AsyncRead + AsyncWrite> FakeNode<IO> {
    /// Answers Hello as this replica.
    pub async fn welcome(io: IO, replica: usize, channels: Vec<Opened>) -> Self {
        let welcome = Welcome { version: VERSION, replica: ReplicaId(replica as u16), channels };
        Self::answer_hello(io, ToFrontend::Welcome(welcome)).await
    }

    /// Answers Hello with anything.
    pub async fn answer_hello(io: IO, answer: ToFrontend) -> Self {
        let (reading, writing) = tokio::io::split(io);
        let mut reader = FrameReader::new(reading, FRAME_BYTES_MAX);
        let first = ToNode::decode(reader.read_frame().await.unwrap().unwrap()).unwrap();
        let ToNode::Hello(hello) = first else { panic!("{first:?} before Hello") };
        let mut node = Self { hello, reader, writer: FrameWriter::new(writing) };
        node.send(answer).await;
        node
    }

    pub async fn send(&mut self, message: ToFrontend) {
        self.writer.write_frame(message.encode()).await.unwrap();
        self.writer.flush().await.unwrap();
    }

    /// The next message; the test fails if none comes.
    pub async fn next(&mut self) -> ToNode {
        let reading = tokio::time::timeout(PATIENCE, self.reader.read_frame());
        let frame = reading.await.expect("a message should come").unwrap().expect("the session should stand");
        ToNode::decode(frame).unwrap()
    }

    /// The next request, whatever else comes before it.
    pub async fn next_request(&mut self) -> Sealed<Request> {
        loop {
            if let ToNode::Submit(bytes) = self.next().await {
                return Sealed::<Request>::trusted(bytes).unwrap();
            }
        }
    }

    /// The next fetch of a body, whatever else comes before it.
    pub async fn next_fetch(&mut self) -> u64 {
        loop {
            if let ToNode::FetchBlock { number, .. } = self.next().await {
                return number;
            }
        }
    }

    pub async fn answer(&mut self, request: &Sealed<Request>, answer: Answer) {
        let id = request.value().id;
        let answer = frontend_shim::frame::RequestAnswer {
            session: id.session,
            sequence: id.sequence,
            digest: request.digest(),
            answer,
        };
        self.send(ToFrontend::Answer(answer)).await;
    }
}

/// A view in which everybody weighs the same.
pub fn flat(n: usize) -> View {
    View::flat(GroupId([0; 32]), n).unwrap()
}

pub fn channel_id() -> ChannelId {
    ChannelId::new("ch1").unwrap()
}

/// A block with one entry; `salt` makes it another one.
pub fn unsigned(number: u64, previous_hash: [u8; 32], entry_bytes: usize, salt: &[u8]) -> Unsigned {
    let payload = [&number.to_be_bytes()[..], salt, &vec![b'.'; entry_bytes]].concat();
    let entry: Bytes =
        Envelope { payload: payload.into(), signature: Bytes::from_static(b"signature") }.encode_to_vec().into();
    let data = BlockData { data: vec![entry] };
    Unsigned {
        number,
        previous_hash,
        data_hash: data_hash(&data.data),
        value: metadata_value(0, Bytes::from_static(b"position")),
        body: data.encode_to_vec().into(),
    }
}

/// Waits until `is_so`, and fails the test if it never is.
pub async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

/// A certificate authority, and what issues in its name.
pub fn authority() -> (Bytes, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "ca.example.com");
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem().into(), Issuer::new(params, key))
}

/// A certificate of this unit, PEM.
pub fn leaf(key: &KeyPair, issuer: &Issuer<'_, KeyPair>, unit: &str) -> String {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    params.distinguished_name.push(DnType::CommonName, "node.example.com");
    params.distinguished_name.push(DnType::OrganizationalUnitName, unit);
    params.signed_by(key, issuer).unwrap().pem()
}

pub const PATIENCE: Duration = Duration::from_secs(20);
