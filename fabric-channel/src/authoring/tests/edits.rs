//! The everyday changes, each judged by the rules that orderers and peers apply to its outcome.

use bytes::Bytes;

use super::{config, outcome, unknown_fields};
use crate::authoring::differences;
use crate::authoring::edit::{
    BatchEdit, ConsenterEdit, ConsenterSelector, EditError, NewConsenter, OrganizationSide, add_consenter,
    add_organization, application_organization, endpoints, remove_consenter, remove_organization, replace_consenter,
    set_acl, set_endpoints, unset_acl,
};
use crate::config_tree::{ConfigTree, Group};

#[test]
fn a_batch_edit_changes_what_it_names_and_keeps_unknown_fields() {
    let current = config("bft/genesis");
    let mut desired = current.bundle().tree().clone();
    let value = orderer(&mut desired).values.get_mut("BatchSize").unwrap();
    value.value = [&value.value[..], &unknown_fields()].concat().into();
    let edit = BatchEdit { max_message_count: Some(77), timeout: Some("3s".to_owned()), ..BatchEdit::default() };
    edit.apply(&mut desired).unwrap();
    assert!(orderer(&mut desired).values["BatchSize"].value.ends_with(&unknown_fields()));
    let outcome = outcome(&current, &desired);
    let next = outcome.config().unwrap();
    assert_eq!(next.batch_size().max_message_count, 77);
    assert_eq!(next.batch_size().absolute_max_bytes, current.batch_size().absolute_max_bytes);
    assert_eq!(next.batch_timeout().as_secs(), 3);
}

#[test]
fn an_outcome_that_is_not_a_valid_channel_says_why() {
    let current = config("bft/genesis");
    let mut desired = current.bundle().tree().clone();
    BatchEdit { max_message_count: Some(0), ..BatchEdit::default() }.apply(&mut desired).unwrap();
    let text = outcome(&current, &desired).config().unwrap_err().to_string();
    assert!(text.contains("/Channel/Orderer/BatchSize: max_message_count must not be 0"), "{text}");
}

#[test]
fn endpoints_of_an_organization_are_replaced() {
    let current = config("bft/genesis");
    let mut desired = current.bundle().tree().clone();
    let addresses = ["a.example:1".to_owned(), "b.example:2".to_owned()];
    set_endpoints(&mut desired, "OrdererOrg", &addresses).unwrap();
    assert_eq!(endpoints(&desired, "OrdererOrg").unwrap(), addresses);
    let outcome = outcome(&current, &desired);
    assert_eq!(outcome.config().unwrap().orderer_organizations()["OrdererOrg"].endpoints, addresses);
    let missing = EditError::Missing("/Channel/Orderer/Nobody".to_owned());
    assert_eq!(set_endpoints(&mut desired, "Nobody", &addresses), Err(missing));
}

#[test]
fn acls_come_and_go_one_by_one() {
    let current = config("bft/genesis");
    let mut desired = current.bundle().tree().clone();
    set_acl(&mut desired, "peer/Propose", "/Channel/Application/Admins").unwrap();
    set_acl(&mut desired, "event/Block", "Readers").unwrap();
    set_acl(&mut desired, "peer/Propose", "/Channel/Application/Writers").unwrap();
    let with_both = outcome(&current, &desired);
    assert_eq!(with_both.config().err(), None);
    assert_eq!(with_both.changed()[0].path(), "/Channel/Application");
    unset_acl(&mut desired, "event/Block").unwrap();
    let bytes = &desired.group("Application").unwrap().values["ACLs"].value;
    let expected = b"\x0a\x2e\x0a\x0cpeer/Propose\x12\x1e\x0a\x1c/Channel/Application/Writers";
    assert_eq!(&bytes[..], expected);
    let none = EditError::NoAcl("event/Block".to_owned());
    assert_eq!(unset_acl(&mut desired, "event/Block"), Err(none));
}

#[test]
fn an_organization_is_removed_and_added_again_under_another_name() {
    let current = config("bft/genesis");
    let mut desired = current.bundle().tree().clone();
    let application = desired.group("Application").unwrap();
    let msp = prost::Message::decode(application.groups["Org2"].values["MSP"].value.clone()).unwrap();
    let side = OrganizationSide::Application;
    remove_organization(&mut desired, side, "Org2").unwrap();
    assert!(remove_organization(&mut desired, side, "Org2").is_err());
    let definition = application_organization("Org2MSP", &msp, &[("peer.example".to_owned(), 7051)]);
    add_organization(&mut desired, side, "Second", definition.clone()).unwrap();
    assert!(add_organization(&mut desired, side, "Second", Group::default()).is_err());
    let outcome = outcome(&current, &desired);
    let organizations = &outcome.config().unwrap().bundle().application().unwrap().organizations;
    assert_eq!(organizations.keys().collect::<Vec<_>>(), ["Org1", "Second"]);
    assert_eq!(outcome.tree().group("Application").unwrap().groups["Second"], definition);
    let paths: Vec<String> =
        differences(current.bundle().tree(), outcome.tree()).into_iter().map(|found| found.path).collect();
    assert_eq!(paths, ["/Channel/Application/Org2", "/Channel/Application/Second"]);
}

#[test]
fn bft_consenters_change_together_with_the_policy_that_follows_from_them() {
    let current = config("bft/genesis");
    let tree = current.bundle().tree();
    let first = &current.consenters()[0];
    // Any certificate with a key of its own will do.
    let identity = Bytes::from(first.client_tls_cert.to_pem());
    let new = NewConsenter {
        id: None,
        host: "new.example".to_owned(),
        port: 7050,
        msp_id: first.msp_id.clone(),
        identity_pem: Some(identity.clone()),
        client_tls_cert_pem: first.client_tls_cert.to_pem().into(),
        server_tls_cert_pem: first.server_tls_cert.to_pem().into(),
    };
    let mut desired = tree.clone();
    add_consenter(&mut desired, &new).unwrap();
    assert_eq!(add_consenter(&mut desired, &new), Err(EditError::AddressInUse("new.example:7050".to_owned())));
    let taken = NewConsenter { id: Some(2), ..new.clone() };
    assert_eq!(add_consenter(&mut desired, &taken), Err(EditError::IdInUse(2)));
    let same = ConsenterEdit { identity_pem: Some(identity.clone()), ..ConsenterEdit::default() };
    assert_eq!(replace_consenter(&mut desired, &ConsenterSelector::Id(2), &same), Err(EditError::KeyInUse(5)));
    let added = outcome(&current, &desired);
    assert_eq!(added.config().unwrap().consenters().len(), 5);
    assert!(added.config().unwrap().has_derived_block_policy());

    let mut desired = tree.clone();
    remove_consenter(&mut desired, &ConsenterSelector::Id(2)).unwrap();
    let removed = outcome(&current, &desired);
    let ids: Vec<u32> = removed.config().unwrap().consenters().iter().map(|consenter| consenter.id).collect();
    assert_eq!(ids, [1, 3, 4]);
    assert!(removed.config().unwrap().has_derived_block_policy());
    let text = remove_consenter(&mut desired, &ConsenterSelector::Id(2)).unwrap_err().to_string();
    assert_eq!(
        text,
        "there is no consenter 2; there are 1 at 127.0.0.1:7050, 3 at 127.0.0.1:7052, 4 at 127.0.0.1:7053"
    );

    let mut desired = tree.clone();
    let edit = ConsenterEdit { identity_pem: Some(identity), port: Some(9), ..ConsenterEdit::default() };
    replace_consenter(&mut desired, &ConsenterSelector::Address("127.0.0.1:7053".to_owned()), &edit).unwrap();
    let replaced = outcome(&current, &desired);
    let last = &replaced.config().unwrap().consenters()[3];
    assert_eq!(
        (last.id, last.address().as_str(), last.pinned_key()),
        (4, "127.0.0.1:9", first.client_tls_cert.spki_der())
    );
    assert!(replaced.config().unwrap().has_derived_block_policy());
    assert_eq!(last.server_tls_cert, current.consenters()[3].server_tls_cert);
}

#[test]
fn raft_consenters_change_one_at_a_time() {
    let current = config("raft/genesis");
    let tree = current.bundle().tree();
    let mut desired = tree.clone();
    remove_consenter(&mut desired, &ConsenterSelector::Id(1)).unwrap();
    let removed = outcome(&current, &desired);
    assert_eq!(removed.config().unwrap().consenters().len(), 2);
    remove_consenter(&mut desired, &ConsenterSelector::Id(1)).unwrap();
    let text = outcome(&current, &desired).config().unwrap_err().to_string();
    assert!(text.contains("only one consenter can be added, removed or replaced at a time"), "{text}");
    assert_eq!(remove_consenter(&mut desired, &ConsenterSelector::Id(1)), Err(EditError::LastConsenter));

    let mut desired = tree.clone();
    let edit = ConsenterEdit { host: Some("moved.example".to_owned()), ..ConsenterEdit::default() };
    replace_consenter(&mut desired, &ConsenterSelector::Id(2), &edit).unwrap();
    assert_eq!(outcome(&current, &desired).config().unwrap().consenters()[1].host, "moved.example");
    let edit = ConsenterEdit { identity_pem: Some(Bytes::new()), ..ConsenterEdit::default() };
    let refused = replace_consenter(&mut desired, &ConsenterSelector::Id(2), &edit);
    assert_eq!(refused, Err(EditError::NotKept("identity")));
}

fn orderer(tree: &mut ConfigTree) -> &mut Group {
    tree.root.as_mut().unwrap().groups.get_mut("Orderer").unwrap()
}
