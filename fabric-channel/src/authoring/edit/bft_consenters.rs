//! The consenter mapping of type BFT, and the BlockValidation policy that has to follow it in the same update.
//!
//! Contract §9.2, §9.3.

use bytes::Bytes;
use fabric_proto::common::Consenter;
use prost::Message as _;

use super::consenters::{ConsenterEdit, ConsenterSelector, NewConsenter, position};
use super::{ADMINS, EditError, edit_value, group_mut};
use crate::authoring::message::Fields;
use crate::block_policy::derived_bft_policy;
use crate::certificate::Certificate;
use crate::config_tree::{ConfigTree, PolicyBody, PolicyEntry};

pub(super) fn add(tree: &mut ConfigTree, new: &NewConsenter) -> Result<(), EditError> {
    let msp_id = new.msp_id.clone().ok_or(EditError::Needed("an MSP ID"))?;
    let identity = new.identity_pem.clone().ok_or(EditError::Needed("an identity"))?;
    edit_mapping(tree, |entries| {
        let greatest = entries.iter().map(|entry| entry.message.id).max().unwrap_or(0);
        let id = new.id.unwrap_or_else(|| greatest.saturating_add(1));
        if entries.iter().any(|entry| entry.message.id == id) {
            return Err(EditError::IdInUse(id));
        }
        let message = Consenter {
            id,
            host: new.host.clone(),
            port: new.port.into(),
            msp_id,
            identity,
            client_tls_cert: new.client_tls_cert_pem.clone(),
            server_tls_cert: new.server_tls_cert_pem.clone(),
        };
        entries.push(Entry { bytes: message.encode_to_vec(), message });
        check_unique(entries, entries.len() - 1)
    })
}

pub(super) fn remove(tree: &mut ConfigTree, which: &ConsenterSelector) -> Result<(), EditError> {
    edit_mapping(tree, |entries| {
        let at = position(which, &names(entries))?;
        if entries.len() == 1 {
            return Err(EditError::LastConsenter);
        }
        entries.remove(at);
        Ok(())
    })
}

pub(super) fn replace(tree: &mut ConfigTree, which: &ConsenterSelector, edit: &ConsenterEdit) -> Result<(), EditError> {
    edit_mapping(tree, |entries| {
        let at = position(which, &names(entries))?;
        let Some(entry) = entries.get_mut(at) else {
            return Ok(());
        };
        let mut fields = Fields::read(&entry.bytes).map_err(|_| malformed())?;
        let text = |text: &Option<String>| text.clone().map(Bytes::from);
        for (number, content) in [
            (2, text(&edit.host)),
            (4, text(&edit.msp_id)),
            (5, edit.identity_pem.clone()),
            (6, edit.client_tls_cert_pem.clone()),
            (7, edit.server_tls_cert_pem.clone()),
        ] {
            content.into_iter().for_each(|content| fields.set_contents(number, [content]));
        }
        edit.port.into_iter().for_each(|port| fields.set_number(3, port.into()));
        *entry = Entry::read(fields.write().to_vec())?;
        check_unique(entries, at)
    })
}

/// One consenter, read, and as it is written.
struct Entry {
    message: Consenter,
    bytes: Vec<u8>,
}

impl Entry {
    fn read(bytes: Vec<u8>) -> Result<Self, EditError> {
        let message = Consenter::decode(&bytes[..]).map_err(|_| malformed())?;
        Ok(Self { message, bytes })
    }

    fn address(&self) -> String {
        format!("{}:{}", self.message.host, self.message.port)
    }

    /// The public key of its identity, in DER.
    fn key(&self) -> Result<Bytes, EditError> {
        let id = self.message.id;
        let certificate = Certificate::from_pem(&self.message.identity);
        let certificate = certificate.map_err(|why| EditError::Identity { id, why })?;
        Ok(certificate.spki_der().clone())
    }
}

fn edit_mapping(
    tree: &mut ConfigTree,
    edit: impl FnOnce(&mut Vec<Entry>) -> Result<(), EditError>,
) -> Result<(), EditError> {
    let orderer = group_mut(tree, &["Orderer"])?;
    let mut identities = Vec::new();
    edit_value(orderer, ORDERER, "Orderers", |fields| {
        let mut entries = fields.contents(1).into_iter().map(Entry::read).collect::<Result<Vec<_>, _>>()?;
        edit(&mut entries)?;
        identities.extend(entries.iter().map(|entry| (entry.message.msp_id.clone(), entry.message.identity.clone())));
        fields.set_contents(1, entries.into_iter().map(|entry| entry.bytes));
        Ok(())
    })?;
    let derived = derived_bft_policy(identities.iter().map(|(msp_id, identity)| (msp_id.as_str(), &identity[..])));
    let created = || PolicyEntry { mod_policy: ADMINS.to_owned(), ..PolicyEntry::default() };
    let policy = orderer.policies.entry("BlockValidation".to_owned()).or_insert_with(created);
    // Fabric compares the whole policy, so nothing unknown may stay in it.
    policy.policy = Some(PolicyBody { kind: derived.r#type, value: derived.value, ..PolicyBody::default() });
    Ok(())
}

fn names(entries: &[Entry]) -> Vec<(u32, String)> {
    entries.iter().map(|entry| (entry.message.id, entry.address())).collect()
}

/// Nobody else may have the address or the key of the consenter at a position.
fn check_unique(entries: &[Entry], at: usize) -> Result<(), EditError> {
    let Some(entry) = entries.get(at) else {
        return Ok(());
    };
    let key = entry.key()?;
    for (position, other) in entries.iter().enumerate() {
        if position == at {
            continue;
        }
        if other.address() == entry.address() {
            return Err(EditError::AddressInUse(entry.address()));
        }
        if other.key().is_ok_and(|other| other == key) {
            return Err(EditError::KeyInUse(other.message.id));
        }
    }
    Ok(())
}

fn malformed() -> EditError {
    EditError::Malformed("/Channel/Orderer/Orderers".to_owned())
}

const ORDERER: &str = "/Channel/Orderer";
