//! An envelope: its headers, and its content if that is a configuration or an update.

use fabric_channel::ConfigContent;
use fabric_channel::authoring::SignedUpdate;
use fabric_proto::common::HeaderType;
use fabric_proto::{Envelope, EnvelopeError};
use prost::Message as _;

use super::{config, update};
use crate::artifact::type_name;
use crate::time;
use crate::words::{self, indented, line};

/// Headers, then the content.
pub(super) fn describe(envelope: &Envelope, report: &mut String) {
    line!(report, "envelope: {}", summary(envelope));
    let header = envelope.channel_header();
    line!(report, "  channel      {}", header.channel_id);
    if let Some(at) = &header.timestamp {
        line!(report, "  time         {}", time::instant(at.seconds, at.nanos));
    }
    if !header.tx_id.is_empty() {
        line!(report, "  transaction  {}", header.tx_id);
    }
    match envelope.check_canonical() {
        Ok(()) => line!(report, "  form         canonical"),
        Err(why) => line!(report, "  form         {why}"),
    }
    describe_content(envelope, report);
}

/// The configuration or the update inside; nothing for other types.
pub(super) fn describe_content(envelope: &Envelope, report: &mut String) {
    match HeaderType::try_from(envelope.header_type()) {
        Ok(HeaderType::Config) => match ConfigContent::decode(envelope.data()) {
            Ok(content) => describe_config(&content, report),
            Err(why) => line!(report, "the configuration in it does not parse: {why}"),
        },
        Ok(HeaderType::ConfigUpdate) => match SignedUpdate::read(envelope.bytes()) {
            Ok(signed) => update::describe(&signed, report),
            Err(why) => line!(report, "the update in it: {why}"),
        },
        _ => {}
    }
}

fn describe_config(content: &ConfigContent, report: &mut String) {
    match &content.config {
        Some(tree) => config::describe(tree, report),
        None => line!(report, "no configuration in it"),
    }
    let Some(last_update) = &content.last_update else {
        return;
    };
    line!(report, "made by this update:");
    let mut text = String::new();
    match SignedUpdate::read(&last_update.encode_to_vec().into()) {
        Ok(signed) => update::describe(&signed, &mut text),
        Err(why) => line!(&mut text, "{why}"),
    }
    report.push_str(&indented(&text, 1));
}

/// Type, size and sender in one line.
pub(super) fn summary(envelope: &Envelope) -> String {
    let sender = match envelope.signature_header() {
        Ok(header) => words::identity(&header.creator),
        Err(EnvelopeError::SignatureHeaderNotSet) => "nobody".to_owned(),
        Err(why) => why.to_string(),
    };
    let signed = if envelope.signature().is_empty() { "not signed" } else { "signed" };
    format!("{}, {} bytes, {signed}, from {sender}", type_name(envelope.header_type()), envelope.size())
}
