//! `channel update`: making, signing and wrapping updates.

mod consenter;
mod draft;
mod organization;
mod signing;

use anyhow::Context as _;
use fabric_channel::authoring::edit::{BatchEdit, set_acl, set_endpoints, unset_acl};

use crate::arguments::{AclArgs, BatchSizeArgs, ComputeArgs, EndpointsArgs, OrgCommand, UpdateCommand};
use crate::artifact::read_config;
use crate::failure::usage;
use draft::write_draft;

/// Runs one step.
pub(crate) fn run(command: UpdateCommand, report: &mut String) -> anyhow::Result<()> {
    match command {
        UpdateCommand::BatchSize(arguments) => batch_size(arguments, report),
        UpdateCommand::Endpoints(arguments) => endpoints(&arguments, report),
        UpdateCommand::Acl(arguments) => acl(&arguments, report),
        UpdateCommand::Org { command: OrgCommand::Add(arguments) } => organization::add(&arguments, report),
        UpdateCommand::Org { command: OrgCommand::Remove(arguments) } => organization::remove(&arguments, report),
        UpdateCommand::Consenter { command } => consenter::run(command, report),
        UpdateCommand::Compute(arguments) => compute(&arguments, report),
        UpdateCommand::Sign(arguments) => signing::sign(&arguments, report),
        UpdateCommand::Wrap(arguments) => signing::wrap(&arguments, report),
    }
}

fn batch_size(arguments: BatchSizeArgs, report: &mut String) -> anyhow::Result<()> {
    let edit = BatchEdit {
        max_message_count: arguments.max_messages,
        absolute_max_bytes: arguments.absolute_bytes,
        preferred_max_bytes: arguments.preferred_bytes,
        timeout: arguments.timeout,
    };
    write_draft(&arguments.draft, report, |tree| Ok(edit.apply(tree)?))
}

fn endpoints(arguments: &EndpointsArgs, report: &mut String) -> anyhow::Result<()> {
    arguments.set.iter().try_for_each(|address| consenter::address(address).map(drop))?;
    write_draft(&arguments.draft, report, |tree| Ok(set_endpoints(tree, &arguments.org, &arguments.set)?))
}

fn acl(arguments: &AclArgs, report: &mut String) -> anyhow::Result<()> {
    let parse = |text: &String| {
        let parts = text.split_once('=').filter(|(resource, policy)| !resource.is_empty() && !policy.is_empty());
        let wrong = || usage(format!("--set {text:?}: RESOURCE=POLICY is expected"));
        parts.map(|(resource, policy)| (resource.to_owned(), policy.to_owned())).ok_or_else(wrong)
    };
    let set = arguments.set.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    write_draft(&arguments.draft, report, |tree| {
        arguments.unset.iter().try_for_each(|resource| unset_acl(tree, resource))?;
        set.iter().try_for_each(|(resource, policy)| set_acl(tree, resource, policy))?;
        Ok(())
    })
}

fn compute(arguments: &ComputeArgs, report: &mut String) -> anyhow::Result<()> {
    let (_, desired) = read_config(&arguments.to).context("the configuration as it shall be")?;
    write_draft(&arguments.draft, report, |tree| {
        *tree = desired;
        Ok(())
    })
}
