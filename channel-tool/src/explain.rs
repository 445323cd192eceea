//! `channel explain`: what an update would change, who has signed it, who still has to, and the verdict.
//!
//! The verdict is that of the evaluation which orderers run; the report around it says what the verdict does not:
//! all elements instead of the first, and what would be refused even if everybody signed.

mod authority;
mod changes;
mod stale;

pub(crate) use authority::{Signers, describe_authority};
pub(crate) use changes::describe_changes;

use anyhow::Context as _;
use fabric_channel::authoring::{Outcome, SignedUpdate};
use fabric_channel::{Bundle, ChannelConfig, ConfigChange, ExpiryCheck, bft_quorum, consenter_set, filters};
use fabric_proto::Envelope;

use crate::arguments::ExplainArgs;
use crate::artifact::read_bundle;
use crate::files;
use crate::time;
use crate::words::line;

/// Explains an update; fails if it would be refused.
pub(crate) fn run(arguments: &ExplainArgs, report: &mut String) -> anyhow::Result<()> {
    let bytes = files::read(&arguments.update)?;
    let name = || arguments.update.display().to_string();
    let update = SignedUpdate::read(&bytes).with_context(name)?;
    let current = read_bundle(&arguments.config, None)
        .or_else(|error| read_bundle(&arguments.config, Some(update.channel_id())).map_err(|_| error))?;
    let expiry = ExpiryCheck::At { now_unix_s: time::now_unix_s() };
    line!(report, "update of channel {}, against config sequence {}", update.channel_id(), current.sequence());

    let signers = Signers::read(&current, &update);
    signers.describe(report);
    if update.channel_id() == current.channel_id().as_str() {
        stale::describe_stale(current.tree(), &update, report);
    }
    let envelope = Envelope::decode(update.to_unsigned_envelope()).with_context(name)?;
    let outcome = Outcome::of(&current, &envelope, expiry).context("would be refused whoever signs it")?;
    describe_changes(current.tree(), outcome.tree(), report);
    describe_authority(&current, outcome.changed(), &signers, report);
    outcome.config().map_err(Clone::clone).context("would be refused whoever signs it")?;
    let change = ConfigChange::evaluate(&current, &envelope, expiry).context("would be refused now")?;
    let next = change.check_orderable().context("would be refused now")?;
    check_consenters(&current, &next, report);
    check_members(&current, &next, report);
    describe_sender(&current, &bytes, report)?;
    line!(report, "verdict: the update would be accepted");
    Ok(())
}

/// What a change of the ordering nodes means for the nodes of this project: Fabric's own rules are others.
pub(crate) fn check_consenters(current: &Bundle, next: &ChannelConfig, report: &mut String) {
    let Ok(current) = ChannelConfig::from_bundle(current.clone()) else { return };
    if consenter_set::is_same(&current, next) {
        return;
    }
    match consenter_set::check(&current, next) {
        Err(why) => line!(report, "note: orderers of Fabric take this; ordering nodes of this service do not: {why}"),
        Ok(()) => {
            let kept = consenter_set::kept(&current, next).len();
            let (new, quorum) = (next.consenters().len() - kept, bft_quorum(next.consenters().len()));
            line!(
                report,
                "note: the channel moves to an ordering group of {} consenters, {kept} of them as before; it goes on as soon \
                 as {quorum} of them work in it",
                next.consenters().len()
            );
            if new > 0 {
                line!(
                    report,
                    "note: let every new node join the channel with the newest config block first, and wait until \
                     `osnadmin channel list` calls it active there: it has all blocks then"
                );
            }
        }
    }
}

/// Fabric's policies over ANY of the application organisations are satisfied by everybody once there is none.
pub(crate) fn check_members(current: &Bundle, next: &ChannelConfig, report: &mut String) {
    let organizations =
        |bundle: &Bundle| bundle.tree().group("Application").map_or(0, |application| application.groups.len());
    if organizations(current) > 0 && organizations(next.bundle()) == 0 {
        line!(
            report,
            "note: no organisation is left in /Channel/Application: a policy that asks ANY of its organisations is then satisfied \
             by everybody, readers and writers of no organisation included"
        );
    }
}

/// Whether the file as it is could be sent: its outer envelope needs the signature of a writer.
fn describe_sender(current: &Bundle, bytes: &bytes::Bytes, report: &mut String) -> anyhow::Result<()> {
    let envelope = Envelope::decode(bytes.clone()).ok().filter(|envelope| !envelope.signature().is_empty());
    let Some(envelope) = envelope else {
        line!(
            report,
            "sender: the outer envelope is not signed yet; `channel update wrap` and `peer channel update` do that"
        );
        return Ok(());
    };
    let config = ChannelConfig::from_bundle(current.clone()).context("the configuration")?;
    filters::check(&config, &envelope, Some(time::now_unix_s())).context("the outer envelope would be refused")?;
    line!(report, "sender: the outer envelope is signed by a writer");
    Ok(())
}
