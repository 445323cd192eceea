//! The consenters in the metadata of type etcdraft. That they change one at a time is a rule for the result.

use bytes::Bytes;
use fabric_proto::etcdraft::Consenter;
use prost::Message as _;

use super::consenters::{ConsenterEdit, ConsenterSelector, NewConsenter, position};
use super::{EditError, edit_value, group_mut};
use crate::authoring::message::Fields;
use crate::config_tree::ConfigTree;

pub(super) fn add(tree: &mut ConfigTree, new: &NewConsenter) -> Result<(), EditError> {
    refuse("id", new.id.is_some())?;
    refuse("MSP ID", new.msp_id.is_some())?;
    refuse("identity", new.identity_pem.is_some())?;
    edit_consenters(tree, |entries| {
        let message = Consenter {
            host: new.host.clone(),
            port: new.port.into(),
            client_tls_cert: new.client_tls_cert_pem.clone(),
            server_tls_cert: new.server_tls_cert_pem.clone(),
        };
        entries.push(message.encode_to_vec());
        check_addresses(entries)
    })
}

pub(super) fn remove(tree: &mut ConfigTree, which: &ConsenterSelector) -> Result<(), EditError> {
    edit_consenters(tree, |entries| {
        let at = position(which, &names(entries)?)?;
        if entries.len() == 1 {
            return Err(EditError::LastConsenter);
        }
        entries.remove(at);
        Ok(())
    })
}

pub(super) fn replace(tree: &mut ConfigTree, which: &ConsenterSelector, edit: &ConsenterEdit) -> Result<(), EditError> {
    refuse("MSP ID", edit.msp_id.is_some())?;
    refuse("identity", edit.identity_pem.is_some())?;
    edit_consenters(tree, |entries| {
        let at = position(which, &names(entries)?)?;
        let Some(entry) = entries.get_mut(at) else {
            return Ok(());
        };
        let mut fields = Fields::read(entry).map_err(|_| malformed())?;
        for (number, content) in [
            (1, edit.host.clone().map(Bytes::from)),
            (3, edit.client_tls_cert_pem.clone()),
            (4, edit.server_tls_cert_pem.clone()),
        ] {
            content.into_iter().for_each(|content| fields.set_contents(number, [content]));
        }
        edit.port.into_iter().for_each(|port| fields.set_number(2, port.into()));
        *entry = fields.write().to_vec();
        check_addresses(entries)
    })
}

/// Changes the list of marshalled consenters; options and all else stay.
fn edit_consenters(
    tree: &mut ConfigTree,
    edit: impl FnOnce(&mut Vec<Vec<u8>>) -> Result<(), EditError>,
) -> Result<(), EditError> {
    let orderer = group_mut(tree, &["Orderer"])?;
    edit_value(orderer, "/Channel/Orderer", "ConsensusType", |fields| {
        let metadata = fields.contents(METADATA).pop().unwrap_or_default();
        let mut metadata = Fields::read(&metadata).map_err(|_| malformed())?;
        let mut entries = metadata.contents(CONSENTERS);
        edit(&mut entries)?;
        metadata.set_contents(CONSENTERS, entries);
        fields.set_contents(METADATA, [metadata.write()]);
        Ok(())
    })
}

/// Numbered from 1 in order, with their addresses.
fn names(entries: &[Vec<u8>]) -> Result<Vec<(u32, String)>, EditError> {
    let read = |(id, bytes): (u32, &Vec<u8>)| {
        let entry = Consenter::decode(&bytes[..]).map_err(|_| malformed())?;
        Ok((id, format!("{}:{}", entry.host, entry.port)))
    };
    (1..).zip(entries).map(read).collect()
}

fn check_addresses(entries: &[Vec<u8>]) -> Result<(), EditError> {
    let mut addresses: Vec<String> = names(entries)?.into_iter().map(|(_, address)| address).collect();
    addresses.sort_unstable();
    let repeated = addresses.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone());
    repeated.map_or(Ok(()), |address| Err(EditError::AddressInUse(address)))
}

fn refuse(part: &'static str, is_given: bool) -> Result<(), EditError> {
    if is_given { Err(EditError::NotKept(part)) } else { Ok(()) }
}

fn malformed() -> EditError {
    EditError::Malformed("/Channel/Orderer/ConsensusType".to_owned())
}

const METADATA: u64 = 2;
const CONSENTERS: u64 = 1;
