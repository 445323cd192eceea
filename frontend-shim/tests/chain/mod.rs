//! Real blocks of a channel `bftch`, and blocks made to follow them.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::Path;
use std::sync::LazyLock;

use bytes::Bytes;
use fabric_proto::block;
use fabric_proto::common::{
    Block, BlockData, BlockHeader, ChannelHeader, Header, HeaderType, Metadata, MetadataSignature, Payload,
    SignatureHeader,
};
use fabric_proto::metadata::{block_metadata, metadata_value, signatures_slot};
use frontend_shim::ledger::Ledger;
use frontend_shim::local_msp::LocalMsp;
use frontend_shim::signing::SigningIdentity;
use prost::Message;

/// The channel that the real blocks belong to.
pub const CHANNEL: &str = "bftch";
/// How many real blocks there are.
pub const REAL: u64 = 5;

/// Block `number` as a real Fabric network made it.
pub fn real(number: u64) -> Bytes {
    let path = format!("{}/tests/data/chain/{number}.block", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap().into()
}

/// The content of slot 0 of an encoded block.
pub fn slot0(encoded: &Bytes) -> Bytes {
    Block::decode(encoded.clone()).unwrap().metadata.unwrap().metadata[0].clone()
}

/// The encoded block with its signatures taken out: what a node stores before it is certified.
pub fn bare(encoded: &Bytes) -> Bytes {
    let mut block = Block::decode(encoded.clone()).unwrap();
    let slots = &mut block.metadata.as_mut().unwrap().metadata;
    let value = Metadata::decode(slots[0].clone()).unwrap().value;
    slots[0] = signatures_slot(value, Vec::new());
    block.encode_to_vec().into()
}

/// Stores and certifies real blocks until there are `height`.
pub fn fill(ledger: &Ledger, height: u64) {
    for number in ledger.height()..height {
        ledger.append(number, bare(&real(number))).unwrap();
        ledger.certify(number, slot0(&real(number))).unwrap();
    }
}

/// A block that follows the ledger's newest one, with one entry of this size.
pub fn follow(ledger: &Ledger, entry_bytes: usize) -> Bytes {
    let tip = ledger.tip().unwrap();
    let entries = vec![Bytes::from(vec![(tip.number % 251) as u8; entry_bytes])];
    make(tip.number + 1, &tip.header_hash, entries)
}

/// A block with this number, previous hash and entries, and no signatures.
pub fn make(number: u64, previous_hash: &[u8], entries: Vec<Bytes>) -> Bytes {
    let header = BlockHeader {
        number,
        previous_hash: Bytes::copy_from_slice(previous_hash),
        data_hash: Bytes::copy_from_slice(&block::data_hash(&entries)),
    };
    let block = Block {
        header: Some(header),
        data: Some(BlockData { data: entries }),
        metadata: Some(block_metadata(0, Bytes::new(), Vec::new())),
    };
    block.encode_to_vec().into()
}

/// A slot 0 with one signature, which nobody verifies here.
pub fn made_slot0(mark: &'static str) -> Bytes {
    let signature = MetadataSignature { signature: Bytes::from_static(mark.as_bytes()), ..Default::default() };
    signatures_slot(metadata_value(0, Bytes::new()), vec![signature])
}

/// Certifies what is not, then appends and certifies made blocks until there are `height`.
pub fn grow(ledger: &Ledger, height: u64, entry_bytes: usize) {
    for number in ledger.certified_height()..height {
        if number == ledger.height() {
            ledger.append(number, follow(ledger, entry_bytes)).unwrap();
        }
        ledger.certify(number, made_slot0("signature")).unwrap();
    }
}

/// A canonical envelope of this channel and header type, signed by [`writer`].
pub fn envelope(channel: &str, header_type: HeaderType, data: &[u8]) -> Bytes {
    signed(&writer(), header_of(channel, header_type), data)
}

/// A header of this channel and type.
pub fn header_of(channel: &str, header_type: HeaderType) -> ChannelHeader {
    ChannelHeader { channel_id: channel.into(), r#type: header_type.into(), ..Default::default() }
}

/// A canonical envelope with this header, signed.
pub fn signed(signer: &SigningIdentity, header: ChannelHeader, data: &[u8]) -> Bytes {
    let payload = payload(header, signer.serialised().clone(), data);
    fabric_proto::canonical::encode(&payload, &signer.sign(&payload))
}

/// A canonical envelope with these headers, and no signature that anybody would believe.
pub fn envelope_with(header: ChannelHeader, creator: Bytes, data: &[u8]) -> Bytes {
    fabric_proto::canonical::encode(&payload(header, creator, data), b"signature")
}

fn payload(header: ChannelHeader, creator: Bytes, data: &[u8]) -> Vec<u8> {
    let signature_header = SignatureHeader { creator, nonce: Bytes::from_static(b"nonce") };
    let header = Header {
        channel_header: header.encode_to_vec().into(),
        signature_header: signature_header.encode_to_vec().into(),
    };
    Payload { header: Some(header), data: Bytes::copy_from_slice(data) }.encode_to_vec()
}

/// A client of Org1, who may write to the channel of the real blocks.
pub fn writer() -> SigningIdentity {
    static WRITER: LazyLock<SigningIdentity> =
        LazyLock::new(|| identity("peerOrganizations/org1.example.com/users/User1@org1.example.com", "Org1MSP"));
    WRITER.clone()
}

/// The first orderer of the channel of the real blocks.
pub fn orderer() -> SigningIdentity {
    identity("ordererOrganizations/orderer.example.com/orderers/o1.orderer.example.com", "OrdererMSP")
}

fn identity(member: &str, msp_id: &str) -> SigningIdentity {
    let crypto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../integration/tests/data/crypto");
    LocalMsp::load(&crypto.join(member).join("msp"), msp_id).unwrap().identity().clone()
}

/// An identity in the form clients send.
pub fn creator() -> Bytes {
    let identity =
        fabric_proto::msp::SerializedIdentity { mspid: "Org1MSP".into(), id_bytes: Bytes::from_static(b"certificate") };
    identity.encode_to_vec().into()
}
