//! Updates of the simulated channel's configuration: how many envelopes make a block.

use anyhow::Context as _;
use bytes::Bytes;
use fabric_channel::config_change::ConfigChange;
use fabric_channel::config_transaction::EnvelopeSigner as _;
use fabric_channel::{ChannelConfig, ExpiryCheck, config_transaction};
use fabric_proto::Envelope;
use fabric_proto::common::{
    ChannelHeader, ConfigGroup, ConfigSignature, ConfigUpdate, ConfigUpdateEnvelope, ConfigValue, Header, HeaderType,
    Payload, SignatureHeader,
};
use fabric_proto::orderer::BatchSize;
use prost::Message as _;
use prost_types::Timestamp;

use super::genesis::CHANNEL;
use super::members::Member;

/// An update signed by the administrator, evaluated against the configuration and wrapped as a frontend does.
///
/// # Errors
/// It is refused: the configuration has no place for it.
pub(super) fn config_envelope(current: &ChannelConfig, message_count: u32, number: u64) -> anyhow::Result<Bytes> {
    let administrator = Member::administrator()?;
    wrap(current, &update(current, message_count, number, Some(&administrator))?, number)
}

/// The CONFIG envelope around the result of an update.
///
/// # Errors
/// It is refused.
pub(super) fn wrap(current: &ChannelConfig, update: &Envelope, number: u64) -> anyhow::Result<Bytes> {
    let change = ConfigChange::evaluate(current.bundle(), update, ExpiryCheck::Skip)?;
    change.check_orderable()?;
    Ok(config_transaction::wrap(&change, &Member::orderer()?, nonce(number), SECONDS)?)
}

/// A CONFIG_UPDATE of the count of envelopes in a block, with the signature of this administrator or with none.
///
/// # Errors
/// The configuration has no place for it.
pub(super) fn update(
    current: &ChannelConfig,
    message_count: u32,
    number: u64,
    administrator: Option<&Member>,
) -> anyhow::Result<Envelope> {
    let root = current.bundle().config().channel_group.as_ref().context("a root group")?;
    let orderer = root.groups.get("Orderer").context("an orderer group")?;
    let batch_size = orderer.values.get("BatchSize").context("a batch size")?;
    let around = |values| {
        let orderer = ConfigGroup { version: orderer.version, values, ..ConfigGroup::default() };
        let groups = [("Orderer".to_owned(), orderer)].into();
        ConfigGroup { version: root.version, groups, ..ConfigGroup::default() }
    };
    let size = BatchSize { max_message_count: message_count, ..BatchSize::decode(batch_size.value.clone())? };
    let value = ConfigValue {
        version: batch_size.version + 1,
        value: size.encode_to_vec().into(),
        mod_policy: batch_size.mod_policy.clone(),
    };
    let update = ConfigUpdate {
        channel_id: CHANNEL.to_owned(),
        read_set: Some(around([].into())),
        write_set: Some(around([("BatchSize".to_owned(), value)].into())),
        ..ConfigUpdate::default()
    };
    let config_update: Bytes = update.encode_to_vec().into();
    let signatures = administrator.map(|administrator| sign(administrator, &config_update, number));
    let data = ConfigUpdateEnvelope { config_update, signatures: signatures.into_iter().collect() };
    let data = data.encode_to_vec();
    Ok(Envelope::decode(Member::orderer()?.envelope(CHANNEL, HeaderType::ConfigUpdate, number, data))?)
}

fn sign(administrator: &Member, update: &[u8], number: u64) -> ConfigSignature {
    let header = SignatureHeader { creator: administrator.creator(), nonce: number.to_be_bytes().to_vec().into() };
    let signature_header: Bytes = header.encode_to_vec().into();
    let signature = administrator.signature(&[&signature_header[..], update].concat());
    ConfigSignature { signature_header, signature }
}

/// The payload of a CONFIG envelope with any data.
pub(super) fn config_payload(creator: Bytes, number: u64, data: Vec<u8>) -> Vec<u8> {
    let channel_header = ChannelHeader {
        r#type: HeaderType::Config.into(),
        channel_id: CHANNEL.to_owned(),
        timestamp: Some(Timestamp { seconds: SECONDS, nanos: 0 }),
        ..ChannelHeader::default()
    };
    let signature_header = SignatureHeader { creator, nonce: nonce(number).to_vec().into() };
    let header = Header {
        channel_header: channel_header.encode_to_vec().into(),
        signature_header: signature_header.encode_to_vec().into(),
    };
    Payload { header: Some(header), data: data.into() }.encode_to_vec()
}

/// A nonce that is unique by this number.
fn nonce(number: u64) -> [u8; 24] {
    let mut nonce = [0; 24];
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    nonce
}

/// The time in every CONFIG envelope.
const SECONDS: i64 = 1_700_000_000;
