//! An update in the forms in which it is handed around.

use bytes::Bytes;
use fabric_proto::Envelope;
use fabric_proto::common::SignatureHeader;
use prost::Message as _;

use super::{config, last_update};
use crate::authoring::edit::BatchEdit;
use crate::authoring::{SignedUpdate, SignedUpdateError, UpdateDraft};

#[test]
fn every_form_of_an_update_is_read() {
    let update = draft();
    let envelope = SignedUpdate::read(&update.envelope()).unwrap();
    let content = SignedUpdate::read(&envelope.content().encode_to_vec().into()).unwrap();
    let bare = SignedUpdate::read(&update.config_update()).unwrap();
    assert_eq!(envelope, content);
    assert_eq!(envelope, bare);
    assert_eq!(envelope.channel_id(), "bftch");
    assert_eq!(envelope.write_set(), &update.sets().write_set);
    let real = SignedUpdate::read(&last_update().encode_to_vec().into()).unwrap();
    assert_eq!(real.content().signatures.len(), 2);
}

#[test]
fn what_is_no_update_is_refused() {
    for bytes in [Bytes::new(), Bytes::from_static(b"\x0a\x01x"), config("bft/genesis").bundle().tree().encode().into()]
    {
        assert_eq!(SignedUpdate::read(&bytes), Err(SignedUpdateError::NotAnUpdate));
    }
    let block = super::block("bft/config_after");
    assert_eq!(SignedUpdate::read(&block.entries()[0]), Err(SignedUpdateError::OtherEnvelope(1)));
    let update = SignedUpdate::read(&draft().envelope()).unwrap();
    let other = SignedUpdate::unsigned_envelope("other", update.content().encode_to_vec().into());
    let names = SignedUpdateError::OtherChannel { header: "other".to_owned(), update: "bftch".to_owned() };
    assert_eq!(SignedUpdate::read(&other), Err(names));
}

#[test]
fn signatures_are_added_and_the_sender_wraps_all_of_it() {
    let mut update = SignedUpdate::read(&draft().envelope()).unwrap();
    let bytes = update.content().config_update.clone();
    assert_eq!(update.preimage(b"header"), [b"header", &bytes[..]].concat());
    update.add_signature(Bytes::from_static(b"\x12\x01n"), Bytes::from_static(b"s")).unwrap();
    assert_eq!(SignedUpdate::read(&update.to_unsigned_envelope()).unwrap(), update);
    let sender = SignatureHeader { creator: Bytes::from_static(b"c"), nonce: Bytes::from_static(b"n") };
    let payload = update.to_payload(&sender, 1_700_000_000);
    let envelope = Envelope::decode(fabric_proto::canonical::encode(&payload, b"signature")).unwrap();
    assert_eq!(envelope.signature_header(), Ok(&sender));
    assert_eq!((envelope.header_type(), envelope.channel_id()), (2, "bftch"));
    assert_eq!(envelope.channel_header().timestamp.map(|time| time.seconds), Some(1_700_000_000));
    assert_eq!(SignedUpdate::read(envelope.bytes()).unwrap(), update);
}

fn draft() -> UpdateDraft {
    let current = config("bft/genesis");
    let mut desired = current.bundle().tree().clone();
    BatchEdit { max_message_count: Some(9), ..BatchEdit::default() }.apply(&mut desired).unwrap();
    UpdateDraft::new(current.bundle(), &desired).unwrap()
}
