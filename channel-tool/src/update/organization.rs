//! `channel update org`.

use anyhow::Context as _;
use fabric_channel::authoring::edit::{
    OrganizationSide, add_organization, application_organization, orderer_organization, remove_organization,
};
use fabric_channel::config_tree::{Group, Value};
use fabric_proto::common::OrdererAddresses;
use fabric_proto::protos::{AnchorPeer, AnchorPeers};
use prost::Message;

use super::consenter::address;
use super::draft::write_draft;
use crate::arguments::{OrgAddArgs, OrgName, OrgRemoveArgs};
use crate::failure::usage;
use crate::{files, json, msp_folder};

pub(super) fn add(arguments: &OrgAddArgs, report: &mut String) -> anyhow::Result<()> {
    let (side, name) = side_and_name(&arguments.name)?;
    let definition = definition(arguments, side)?;
    write_draft(&arguments.draft, report, |tree| Ok(add_organization(tree, side, name, definition)?))
}

pub(super) fn remove(arguments: &OrgRemoveArgs, report: &mut String) -> anyhow::Result<()> {
    let (side, name) = side_and_name(&arguments.name)?;
    write_draft(&arguments.draft, report, |tree| Ok(remove_organization(tree, side, name)?))
}

fn side_and_name(name: &OrgName) -> anyhow::Result<(OrganizationSide, &str)> {
    match (&name.application, &name.orderer) {
        (Some(name), None) => Ok((OrganizationSide::Application, name)),
        (None, Some(name)) => Ok((OrganizationSide::Orderer, name)),
        _ => Err(usage("either --application or --orderer names the organisation")),
    }
}

fn definition(arguments: &OrgAddArgs, side: OrganizationSide) -> anyhow::Result<Group> {
    let unfit = match side {
        OrganizationSide::Application if !arguments.endpoints.is_empty() => Some("--endpoints is for --orderer"),
        OrganizationSide::Orderer if !arguments.anchor_peers.is_empty() => Some("--anchor-peers is for --application"),
        _ => None,
    };
    if let Some(why) = unfit {
        return Err(usage(why));
    }
    arguments.endpoints.iter().try_for_each(|endpoint| address(endpoint).map(drop))?;
    let anchor_peers = arguments.anchor_peers.iter().map(|peer| address(peer)).collect::<Result<Vec<_>, _>>()?;
    let path = &arguments.definition;
    if !path.is_dir() {
        if arguments.msp_id.is_some() {
            return Err(usage("--msp-id is for an MSP folder; JSON brings its own"));
        }
        let group = json::read_organization(&files::read(path)?).with_context(|| path.display().to_string())?;
        return Ok(with_addresses(group, &arguments.endpoints, &anchor_peers));
    }
    let msp_id = arguments.msp_id.as_deref();
    let msp_id = msp_id.ok_or_else(|| usage("an MSP folder needs --msp-id"))?;
    let msp = msp_folder::definition(path, msp_id)?;
    Ok(match side {
        OrganizationSide::Application => application_organization(msp_id, &msp, &anchor_peers),
        OrganizationSide::Orderer => orderer_organization(msp_id, &msp, &arguments.endpoints),
    })
}

/// Addresses of the command line stand instead of those in the definition.
fn with_addresses(mut group: Group, endpoints: &[String], anchor_peers: &[(String, u16)]) -> Group {
    let value = |message: Vec<u8>| Value { value: message.into(), mod_policy: "Admins".to_owned(), ..Value::default() };
    if !endpoints.is_empty() {
        let message = OrdererAddresses { addresses: endpoints.to_vec() }.encode_to_vec();
        group.values.insert("Endpoints".to_owned(), value(message));
    }
    if !anchor_peers.is_empty() {
        let peer = |(host, port): &(String, u16)| AnchorPeer { host: host.clone(), port: (*port).into() };
        let message = AnchorPeers { anchor_peers: anchor_peers.iter().map(peer).collect() }.encode_to_vec();
        group.values.insert("AnchorPeers".to_owned(), value(message));
    }
    group
}
