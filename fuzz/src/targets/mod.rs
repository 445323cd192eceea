//! The targets, one file for each part of the system they belong to.

mod authoring;
mod block;
mod channel;
mod checkpoint;
mod command;
mod grpc;
mod journal;
mod ledger;
mod mesh;
mod protocol;
mod rules;
mod session;
mod update;

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
    rules::TREE,
    rules::CONTENT,
    rules::POLICIES,
    rules::MSP,
    rules::REVOCATION,
    rules::RAFT_BLOCK,
    update::UPDATE,
    update::SIGNED,
    update::TRANSACTION,
    update::FILTERS,
    authoring::READER,
    authoring::COMPUTED,
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
