//! `channel update consenter`.

use std::path::Path;

use bytes::Bytes;
use fabric_channel::authoring::edit::{
    ConsenterEdit, ConsenterSelector, EditError, NewConsenter, add_consenter, endpoints, remove_consenter,
    replace_consenter, set_endpoints,
};
use fabric_channel::config_tree::ConfigTree;

use super::draft::write_draft;
use crate::arguments::{ConsenterAddArgs, ConsenterCommand, ConsenterName, ConsenterRemoveArgs, ConsenterReplaceArgs};
use crate::failure::usage;
use crate::files;

pub(super) fn run(command: ConsenterCommand, report: &mut String) -> anyhow::Result<()> {
    match command {
        ConsenterCommand::Add(arguments) => add(&arguments, report),
        ConsenterCommand::Remove(arguments) => remove(&arguments, report),
        ConsenterCommand::Replace(arguments) => replace(&arguments, report),
    }
}

fn add(arguments: &ConsenterAddArgs, report: &mut String) -> anyhow::Result<()> {
    let (host, port) = address(&arguments.address)?;
    let consenter = NewConsenter {
        id: arguments.id,
        host,
        port,
        msp_id: arguments.msp_id.clone(),
        identity_pem: read_optional(arguments.identity.as_deref())?,
        client_tls_cert_pem: files::read(&arguments.client_tls)?,
        server_tls_cert_pem: files::read(&arguments.server_tls)?,
    };
    let endpoint = arguments.endpoint.as_deref().map(endpoint).transpose()?;
    write_draft(&arguments.draft, report, |tree| {
        add_consenter(tree, &consenter)?;
        let Some((organization, address)) = endpoint else {
            return Ok(());
        };
        let mut addresses = endpoints(tree, &organization)?;
        if addresses.contains(&address) {
            return Err(EditError::Exists(format!("the endpoint {address} of {organization}")).into());
        }
        addresses.push(address);
        Ok(set_endpoints(tree, &organization, &addresses)?)
    })
}

fn remove(arguments: &ConsenterRemoveArgs, report: &mut String) -> anyhow::Result<()> {
    let which = selector(&arguments.name);
    let endpoint = arguments.endpoint.as_deref().map(endpoint).transpose()?;
    write_draft(&arguments.draft, report, |tree| {
        remove_consenter(tree, &which)?;
        match endpoint {
            Some((organization, address)) => remove_endpoint(tree, &organization, &address),
            None => Ok(()),
        }
    })
}

fn remove_endpoint(tree: &mut ConfigTree, organization: &str, address: &str) -> anyhow::Result<()> {
    let mut addresses = endpoints(tree, organization)?;
    let count = addresses.len();
    addresses.retain(|found| found != address);
    if addresses.len() == count {
        return Err(EditError::Missing(format!("the endpoint {address} of {organization}")).into());
    }
    Ok(set_endpoints(tree, organization, &addresses)?)
}

fn replace(arguments: &ConsenterReplaceArgs, report: &mut String) -> anyhow::Result<()> {
    let moved = arguments.address.as_deref().map(address).transpose()?;
    let (host, port) = moved.unzip();
    let edit = ConsenterEdit {
        host,
        port,
        msp_id: arguments.msp_id.clone(),
        identity_pem: read_optional(arguments.identity.as_deref())?,
        client_tls_cert_pem: read_optional(arguments.client_tls.as_deref())?,
        server_tls_cert_pem: read_optional(arguments.server_tls.as_deref())?,
    };
    let which = selector(&arguments.name);
    write_draft(&arguments.draft, report, |tree| Ok(replace_consenter(tree, &which, &edit)?))
}

fn selector(name: &ConsenterName) -> ConsenterSelector {
    match (name.id, &name.at) {
        (Some(id), _) => ConsenterSelector::Id(id),
        (None, at) => ConsenterSelector::Address(at.clone().unwrap_or_default()),
    }
}

fn read_optional(path: Option<&Path>) -> anyhow::Result<Option<Bytes>> {
    path.map(files::read).transpose()
}

/// `ORG=host:port`
fn endpoint(text: &str) -> anyhow::Result<(String, String)> {
    let wrong = || usage(format!("--endpoint {text:?}: ORG=host:port is expected"));
    let (organization, at) = text.split_once('=').ok_or_else(wrong)?;
    address(at)?;
    Ok((organization.to_owned(), at.to_owned()))
}

/// `host:port`
pub(super) fn address(text: &str) -> anyhow::Result<(String, u16)> {
    let parts =
        text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok().filter(|port| *port > 0)?)));
    match parts {
        Some((host, port)) if !host.is_empty() => Ok((host.to_owned(), port)),
        _ => Err(usage(format!("{text:?} is no address: host:port is expected"))),
    }
}
