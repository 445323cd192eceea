//! From an edit to a file: the update is computed, judged as orderers will judge it, explained and written.

use anyhow::Context as _;
use fabric_channel::ExpiryCheck;
use fabric_channel::authoring::{Outcome, UpdateDraft};
use fabric_channel::config_tree::ConfigTree;
use fabric_proto::Envelope;

use crate::arguments::DraftArgs;
use crate::artifact::read_bundle;
use crate::explain::{Signers, check_consenters, check_members, describe_authority, describe_changes};
use crate::words::line;
use crate::{files, time};

/// Writes the update that an edit of the present configuration amounts to; nothing if it would be refused.
pub(super) fn write_draft(
    arguments: &DraftArgs,
    report: &mut String,
    edit: impl FnOnce(&mut ConfigTree) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let current = read_bundle(&arguments.config, arguments.channel.as_deref())?;
    let mut desired = current.tree().clone();
    edit(&mut desired)?;
    let bytes = UpdateDraft::new(&current, &desired)?.envelope();
    let envelope = Envelope::decode(bytes.clone())?;
    let expiry = ExpiryCheck::At { now_unix_s: time::now_unix_s() };
    let outcome = Outcome::of(&current, &envelope, expiry).context("this update would be refused whoever signs it")?;
    describe_changes(current.tree(), outcome.tree(), report);
    let next = outcome.config().map_err(Clone::clone).context("this update would be refused whoever signs it")?;
    describe_authority(&current, outcome.changed(), &Signers::default(), report);
    check_consenters(&current, next, report);
    check_members(&current, next, report);
    files::write(&arguments.out, &bytes)?;
    line!(
        report,
        "written to {}, for config sequence {} of channel {}",
        arguments.out.display(),
        current.sequence(),
        current.channel_id()
    );
    Ok(())
}
