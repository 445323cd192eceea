//! The targets, one file for each part of the system they belong to.

mod block;
mod channel;
mod checkpoint;
mod command;
mod grpc;
mod journal;
mod ledger;
mod mesh;
mod protocol;
mod session;

use crate::target::Target;

/// Every target.
pub const TARGETS: &[Target] = &[
    protocol::MESSAGE,
    protocol::REQUEST,
    protocol::RECORD,
    protocol::SESSIONS,
    journal::FILE,
    journal::PAYLOADS,
    journal::DAMAGE,
    journal::TRUNCATED,
    journal::START,
    checkpoint::FILE,
    checkpoint::CERTIFICATE,
    checkpoint::DAMAGE,
    checkpoint::CREDENTIALS,
    command::BODY,
    command::SNAPSHOT,
    block::ENVELOPE,
    block::BLOCK,
    block::SIGNED_BLOCK,
    block::LOW_S,
    channel::CONFIG_BLOCK,
    channel::CONFIG,
    channel::IDENTITY,
    channel::CERTIFICATE,
    channel::POLICY,
    channel::OPTIONS,
    session::FRAMING,
    session::FRAME,
    session::READING,
    mesh::FRAME,
    grpc::ADMISSION,
    grpc::BROADCAST,
    grpc::DELIVER,
    ledger::BLOCK,
    ledger::RECORDS,
    ledger::DAMAGE,
];
