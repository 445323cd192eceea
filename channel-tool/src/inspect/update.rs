//! An update: what it reads, what it writes, who has signed.

use fabric_channel::authoring::SignedUpdate;
use fabric_channel::config_tree::Group;
use fabric_proto::common::SignatureHeader;
use prost::Message as _;

use super::config::describe_group;
use crate::words::{self, line};

/// Both sets, and who claims to have signed. Whether signatures are good depends on a configuration: `explain`.
pub(super) fn describe(update: &SignedUpdate, report: &mut String) {
    line!(report, "update of channel {}", update.channel_id());
    line!(report, "reads");
    describe_group("/Channel", update.read_set(), 1, report);
    line!(report, "writes");
    describe_group("/Channel", update.write_set(), 1, report);
    let signatures = &update.content().signatures;
    line!(report, "config signatures: {}", signatures.len());
    for signature in signatures {
        let signer = SignatureHeader::decode(signature.signature_header.clone())
            .map_or_else(|_| "an unreadable header".to_owned(), |header| words::identity(&header.creator));
        line!(report, "  {signer}");
    }
}

/// A group with all it holds, for reports on changes.
pub(crate) fn element(name: &str, group: &Group) -> String {
    let mut text = String::new();
    describe_group(name, group, 0, &mut text);
    text
}
