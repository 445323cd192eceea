//! What comes over a link between two nodes, gossip included.

use bytes::Bytes;
use fabric_channel::{Certificate, PublicKey};
use frontend_shim::framing::{Frame, encode_frame};
use frontend_shim::group_terms::GroupTerms;
use frontend_shim::keys::{Credential, FrontendKey};
use frontend_shim::tls_identity::TlsIdentity;
use mod_smart::{GroupId, ReplicaId};
use orderer_node::keys::{NodeKeyring, SigningKey, VoteBinding, VoteKey};
use orderer_node::mesh::frame::{Hello, MESH_VERSION, MeshFrame, Refusal};

use crate::fixtures::{CONFIG, GROUP, settings};
use crate::outcome::Outcome;
use crate::target::{Heap, Seed, Target};

pub const FRAME: Target = Target {
    name: "mesh_frame",
    about: "a frame between nodes, kind first: encodes to the same bytes; only genuine credentials and vote keys are \
            believed",
    run: frame,
    seeds: frame_seeds,
    heap: Heap::MEDIUM,
    test_runs: 10_000,
};

fn frame(input: &[u8]) -> Outcome {
    let Some((kind, payload)) = input.split_first() else { return Outcome::refused("nothing") };
    let frame = Frame { kind: *kind, payload: Bytes::copy_from_slice(payload) };
    let sent = encode_frame(frame.kind, &[&frame.payload]);
    let decoded = match MeshFrame::decode(frame) {
        Ok(decoded) => decoded,
        Err(error) => return Outcome::refused(error),
    };
    if let MeshFrame::Refused(refusal) = &decoded {
        // A reason that is no text is mended on the way in.
        assert!(!refusal.reason.contains(char::is_control), "a reason that breaks a log line");
        return Outcome::accepted("a refusal");
    }
    assert_eq!(decoded.encode(), sent, "one frame has one encoding");
    let keyring = keyring();
    match decoded {
        MeshFrame::Hello(Hello { binding, .. }) | MeshFrame::Binding(binding) => {
            let believed = keyring.bind(&binding);
            assert_eq!(believed.is_ok(), keyring.binding(binding.replica).is_some());
            Outcome::accepted(Outcome::from(believed.map(|()| "a genuine vote key")))
        }
        MeshFrame::Introduce { credential, .. } => {
            let believed = keyring.learn(&credential);
            assert!(believed.is_err() || credential.verify(GROUP).is_ok());
            Outcome::accepted(Outcome::from(believed.map(|_| "a genuine frontend")))
        }
        MeshFrame::Consensus { .. } => Outcome::accepted("a message of the core"),
        MeshFrame::Ping | MeshFrame::Pong | MeshFrame::Refused(_) => Outcome::accepted("a sign of life"),
    }
}

fn frame_seeds() -> Vec<Seed> {
    let binding = |replica| VoteBinding::sign(GROUP, ReplicaId(replica), &VoteKey::derive(&pinned()), &pinned());
    let hello = |terms| Hello { group: GROUP, replica: ReplicaId(1), binding: binding(1), terms };
    let settled = GroupTerms { members: GroupId([3; 32]), settings: settings() };
    let refusal = Refusal { version: MESH_VERSION + 1, reason: "another version".into() };
    let frames = [
        ("hello", MeshFrame::Hello(hello(GroupTerms::plain(GROUP)))),
        ("hello-settings", MeshFrame::Hello(hello(settled))),
        ("refused", MeshFrame::Refused(refusal)),
        ("consensus", MeshFrame::Consensus { group: GROUP, message: Bytes::from_static(b"message") }),
        ("introduce", MeshFrame::Introduce { group: GROUP, credential: credential(1) }),
        ("binding", MeshFrame::Binding(binding(0))),
        ("ping", MeshFrame::Ping),
        ("pong", MeshFrame::Pong),
    ];
    frames.iter().map(|(name, frame)| Seed::new(*name, frame.encode().slice(4..))).collect()
}

/// A keyring that knows the members of the real channel and has heard of nobody yet.
pub fn keyring() -> NodeKeyring {
    let identities = CONFIG.consenters().iter().filter_map(|consenter| consenter.identity.as_ref());
    let pins: Vec<PublicKey> = identities.map(|identity| identity.certificate.public_key().clone()).collect();
    assert!(!pins.is_empty(), "a channel of type BFT names identities");
    let orderers = CONFIG.orderer_organizations().values().filter_map(|organization| {
        CONFIG.msps().iter().find(|msp| CONFIG.is_orderer_msp(msp.id()) && organization_is(organization, msp.id()))
    });
    NodeKeyring::new(GROUP, pins, orderers.cloned().collect())
}

fn organization_is(organization: &fabric_channel::OrdererOrganization, msp_id: &str) -> bool {
    organization.msp_id == msp_id
}

/// A genuine credential of a frontend under the certificate of one of the real channel's orderers.
pub fn credential(orderer: usize) -> Credential {
    let (certificate, key) = TLS[orderer - 1];
    let identity = TlsIdentity::from_pem(certificate, key).expect("a real pair");
    let key = FrontendKey::generate().expect("randomness");
    Credential::issue(GROUP, key.id(), &identity).expect("a key that signs")
}

/// The enrolment key of the first orderer of the real channel.
fn pinned() -> SigningKey {
    let key = SigningKey::from_pem(PINNED_KEY).expect("a real key");
    let certificate = Certificate::from_pem(PINNED_CERTIFICATE).expect("a real certificate");
    assert!(key.is_key_of(&certificate));
    key
}

macro_rules! real {
    ($path:literal) => {
        include_bytes!(concat!(
            "../../../integration/tests/data/crypto/ordererOrganizations/orderer.example.com/orderers/",
            $path
        ))
    };
}

const TLS: [(&[u8], &[u8]); 1] =
    [(real!("o1.orderer.example.com/tls/server.crt"), real!("o1.orderer.example.com/tls/server.key"))];
const PINNED_KEY: &[u8] = real!("o1.orderer.example.com/msp/keystore/priv_sk");
const PINNED_CERTIFICATE: &[u8] = real!("o1.orderer.example.com/msp/signcerts/o1.orderer.example.com-cert.pem");
