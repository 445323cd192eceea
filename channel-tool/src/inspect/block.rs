//! A block: header, metadata, signatures, entries.

use fabric_proto::block::{SLOT_COUNT, data_hash};
use fabric_proto::common::{Block, BlockMetadata, IdentifierHeader, MetadataSignature, SignatureHeader};
use fabric_proto::metadata::{SignerHeader, last_config_index, parse_signatures_slot};
use fabric_proto::{Envelope, block};
use prost::Message as _;

use super::envelope;
use crate::words::{self, line};

/// The block, then the configuration in it if it is a configuration block.
pub(super) fn describe(block: &Block, report: &mut String) {
    if let Some(header) = &block.header {
        line!(report, "block {}", header.number);
        line!(report, "  header hash    {}", hex::encode(header.hash()));
        line!(
            report,
            "  previous hash  {}",
            if header.previous_hash.is_empty() { "none".into() } else { hex::encode(&header.previous_hash) }
        );
        let is_right = data_hash(block.entries())[..] == header.data_hash[..];
        let verdict = if is_right { "that of the data" } else { "NOT that of the data" };
        line!(report, "  data hash      {} ({verdict})", hex::encode(&header.data_hash));
    }
    match last_config_index(block) {
        Ok(index) => line!(report, "  latest config  block {index}"),
        Err(why) => line!(report, "  latest config  {why}"),
    }
    if let Some(metadata) = &block.metadata {
        describe_metadata(metadata, report);
    }
    line!(report, "  entries        {}", block.entries().len());
    for (index, entry) in block.entries().iter().enumerate() {
        match Envelope::decode(entry.clone()) {
            Ok(entry) => line!(report, "    {index}: {}", envelope::summary(&entry)),
            Err(why) => line!(report, "    {index}: {why}"),
        }
    }
    // The form of a lone CONFIG envelope is not looked at by anybody.
    if let Err(why) = block::check_entries(block.entries()) {
        line!(report, "  data form      {why}");
    }
    if let ([entry], true) = (block.entries(), block.is_config())
        && let Ok(entry) = Envelope::decode(entry.clone())
    {
        envelope::describe_content(&entry, report);
    }
}

fn describe_metadata(metadata: &BlockMetadata, report: &mut String) {
    let count = metadata.metadata.len();
    let form = if count >= SLOT_COUNT { "well formed" } else { "too few for peers" };
    match parse_signatures_slot(metadata) {
        Err(why) => line!(report, "  metadata       {count} slots; {why}"),
        Ok(signed) => {
            line!(report, "  metadata       {count} slots, {form}");
            line!(report, "  signatures     {}", signed.signatures.len());
            signed.signatures.iter().for_each(|signature| line!(report, "    {}", signer(signature)));
        }
    }
}

fn signer(signature: &MetadataSignature) -> String {
    let malformed = || "an unreadable header, for which peers refuse the block".to_owned();
    match SignerHeader::of(signature) {
        SignerHeader::Identifier(bytes) => IdentifierHeader::decode(bytes)
            .map_or_else(|_| malformed(), |header| format!("consenter {}", header.identifier)),
        SignerHeader::Signature(bytes) => {
            SignatureHeader::decode(bytes).map_or_else(|_| malformed(), |header| words::identity(&header.creator))
        }
    }
}
