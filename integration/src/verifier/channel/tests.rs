//! Which BlockValidation policies are understood, and who satisfies one of members.
#![allow(clippy::unwrap_used)]

use super::super::messages::{NOutOf, SignaturePolicy};
use super::*;
use crate::crypto_folder::CryptoFolder;
use crate::material;

#[test]
fn the_quorum_is_that_of_the_contract() {
    let expected = [1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8, 9];
    let found: Vec<usize> = (1..=13).map(quorum).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_policy_of_roles_asks_for_a_quorum_of_one_organisation() {
    let ours = (material::ORDERER_MSP_ID, ROLE_ORDERER);
    assert!(matches!(of_roles(3, &[ours; 4]), Ok(BlockValidation::NMembers(3, msp_id)) if msp_id == ours.0));
    assert!(matches!(of_roles(2, &[ours; 4]), Err(Flaw::Policy)), "two liars would do");
    let theirs = ("OtherMSP", ROLE_ORDERER);
    assert!(matches!(of_roles(3, &[ours, ours, ours, theirs]), Err(Flaw::Policy)));
    assert!(matches!(of_roles(3, &[ours, ours, ours, (ours.0, 1)]), Err(Flaw::Policy)), "an administrator");
}

#[test]
fn three_different_members_satisfy_such_a_policy_and_fewer_do_not() {
    let crypto = CryptoFolder::at(&material::crypto());
    let authority = read(&crypto.orderers_msp().join("cacerts"));
    let channel = Channel {
        id: "ch".to_owned(),
        consenters: BTreeMap::new(),
        authorities: BTreeMap::from([(material::ORDERER_MSP_ID.to_owned(), vec![authority])]),
        policy: BlockValidation::NMembers(3, material::ORDERER_MSP_ID.to_owned()),
    };
    let identity = |msp: std::path::PathBuf| SerializedIdentity {
        msp_id: material::ORDERER_MSP_ID.to_owned(),
        certificate_pem: read(&msp.join("signcerts")),
    };
    let orderer = |id| identity(crypto.orderer(id).join("msp"));
    let stranger = identity(crypto.user().0);
    assert_eq!(channel.is_satisfied(&BTreeSet::from([orderer(1), orderer(2), orderer(4)])), Ok(true));
    assert_eq!(channel.is_satisfied(&BTreeSet::from([orderer(1), orderer(2)])), Ok(false));
    assert_eq!(channel.is_satisfied(&BTreeSet::from([orderer(1), orderer(2), stranger])), Ok(false));
}

fn of_roles(n: i32, roles: &[(&str, i32)]) -> Result<BlockValidation, Flaw> {
    let principal = |(msp_id, role): &(&str, i32)| MspPrincipal {
        classification: PRINCIPAL_ROLE,
        principal: MspRole { msp_id: (*msp_id).to_owned(), role: *role }.encode_to_vec(),
    };
    let leaf = |at: i32| SignaturePolicy { rule: Some(SignaturePolicyRule::SignedBy(at)) };
    let rules = (0..).take(roles.len()).map(leaf).collect();
    let envelope = SignaturePolicyEnvelope {
        rule: Some(SignaturePolicy { rule: Some(SignaturePolicyRule::NOutOf(NOutOf { n, rules })) }),
        identities: roles.iter().map(principal).collect(),
    };
    n_out_of(&Policy { kind: POLICY_SIGNATURE, value: envelope.encode_to_vec() }, &BTreeMap::new())
}

/// The only file of a folder.
fn read(folder: &std::path::Path) -> Vec<u8> {
    std::fs::read(std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()).unwrap()
}
