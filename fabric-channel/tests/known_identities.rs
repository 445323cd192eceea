//! Identities are remembered, and nobody could tell from a verdict.

#![allow(clippy::unwrap_used)]

mod made_channel;

use bytes::Bytes;
use fabric_channel::{Bundle, ChannelConfig, Identity, IdentityError, InvalidIdentity, MspVersion, Msps, serialise};
use made_channel::{Member, Organization, channel};

#[test]
fn a_new_configuration_judges_anew() {
    let organization = Organization::new("Org1MSP");
    let (client, other) = (organization.member("client", 2), organization.member("client", 3));
    let before = msps(&[&organization]);
    assert_eq!(validity(&before, &client), Ok(()));

    let mut material = organization.material();
    material.revocation_lists = vec![organization.revoking(&[&client])];
    let mut after = Msps::new(MspVersion::V3_0);
    after.add(&material.definition()).unwrap();
    assert_eq!(validity(&after, &client), Err(InvalidIdentity::Revoked));
    assert_eq!(validity(&after, &other), Ok(()));

    // Neither has learnt from the other.
    assert_eq!(validity(&before, &client), Ok(()));
    assert_eq!(validity(&after, &client), Err(InvalidIdentity::Revoked));
}

#[test]
fn a_set_of_msps_that_grows_is_another_one_than_its_clone() {
    let (first, second) = (Organization::new("Org1MSP"), Organization::new("Org2MSP"));
    let (of_first, of_second) = (first.member("client", 2), second.member("client", 2));
    let small = msps(&[&first]);
    small.deserialise(&of_first.creator).unwrap();
    let mut large = small.clone();
    large.add(&second.material().definition()).unwrap();
    assert_eq!((small.known_identities(), large.known_identities()), (1, 0));
    large.deserialise(&of_second.creator).unwrap();
    let refused = small.deserialise(&of_second.creator);
    assert_eq!(refused.err(), Some(IdentityError::UnknownMsp("Org2MSP".to_owned())));
}

#[test]
fn clones_of_a_bundle_remember_together() {
    let (config, client) = small_channel();
    let bundle: &Bundle = config.bundle();
    let copy = bundle.clone();
    // The consenters are known, because policies name them.
    let known = bundle.msps().known_identities();
    bundle.msps().deserialise(&client.creator).unwrap();
    assert_eq!(bundle.msps().known_identities(), known + 1);
    assert_eq!(copy.msps().known_identities(), known + 1);
    // The next configuration begins anew, even if it is the same.
    let next = Bundle::from_tree("made", bundle.tree().clone()).unwrap();
    assert_eq!(next.msps().known_identities(), known);
}

#[test]
fn only_valid_identities_are_remembered() {
    let (organization, stranger) = (Organization::new("Org1MSP"), Organization::new("Org1MSP"));
    let mut material = organization.material();
    let revoked = organization.member("client", 2);
    material.revocation_lists = vec![organization.revoking(&[&revoked])];
    let mut msps = Msps::new(MspVersion::V3_0);
    msps.add(&material.definition()).unwrap();
    assert!(msps.deserialise(&revoked.creator).is_ok_and(|identity| identity.validity().is_err()));
    assert!(msps.deserialise(&stranger.member("client", 2).creator).is_err());
    assert!(msps.deserialise(&serialise("Org1MSP", &organization.ca_pem)).is_ok_and(|ca| ca.validity().is_err()));
    assert!(msps.deserialise(b"nobody").is_err());
    assert_eq!(msps.known_identities(), 0);
}

#[test]
fn one_certificate_in_endless_forms_stays_within_the_bound() {
    let organization = Organization::new("Org1MSP");
    let client = organization.member("client", 2);
    let msps = msps(&[&organization]);
    for form in 0..FORMS {
        // Text after a PEM block is nothing to Fabric.
        let pem = [&client.pem[..], format!("{form}").as_bytes()].concat();
        let identity = msps.deserialise(&serialise("Org1MSP", &pem)).unwrap();
        assert_eq!(identity.validity(), Ok(()));
    }
    assert!(msps.known_identities() <= fabric_channel::limits::KNOWN_IDENTITIES_MAX);
    assert!(msps.known_identities() > 100, "it remembers at all");
}

#[test]
fn threads_that_share_it_come_to_the_verdicts_of_one_that_does_not() {
    let (config, _) = small_channel();
    let organization = Organization::new("Org7MSP");
    let mut material = organization.material();
    let members: Vec<Member> = (2..10).map(|serial| organization.member("client", serial)).collect();
    material.revocation_lists = vec![organization.revoking(&[&members[0], &members[3]])];
    let mut shared = config.msps().clone();
    shared.add(&material.definition()).unwrap();
    let creators: Vec<Bytes> = members
        .iter()
        .map(|member| member.creator.clone())
        .chain([Bytes::from_static(b"nobody"), serialise("Org7MSP", b"no PEM"), serialise("Nobody", &members[1].pem)])
        .collect();
    let alone: Vec<Verdict> = creators
        .iter()
        .map(|creator| {
            let mut fresh = Msps::new(MspVersion::V3_0);
            fresh.add(&material.definition()).unwrap();
            verdict(fresh.deserialise(creator))
        })
        .collect();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (shared, creators, alone) = (shared.clone(), &creators, &alone);
            scope.spawn(move || {
                for round in 0..200 {
                    let at = (round * 7 + thread) % creators.len();
                    assert_eq!(verdict(shared.deserialise(&creators[at])), alone[at]);
                }
            });
        }
    });
    assert_eq!(shared.known_identities(), members.len() - 2);
}

/// All that can be said about an identity.
type Verdict = Result<(Identity, Result<(), InvalidIdentity>, Bytes), IdentityError>;

fn verdict(read: Result<Identity, IdentityError>) -> Verdict {
    read.map(|identity| (identity.clone(), identity.validity(), identity.serialise()))
}

fn validity(msps: &Msps, member: &Member) -> Result<(), InvalidIdentity> {
    // Twice, since the second time is another way.
    let first = msps.deserialise(&member.creator).unwrap();
    let second = msps.deserialise(&member.creator).unwrap();
    assert_eq!((first.validity(), &first), (second.validity(), &second));
    let signature = member.sign(b"message");
    assert_eq!(second.verify(b"message", &signature), Ok(()));
    assert!(second.verify(b"another", &signature).is_err());
    second.validity()
}

fn msps(organizations: &[&Organization]) -> Msps {
    let mut msps = Msps::new(MspVersion::V3_0);
    for organization in organizations {
        msps.add(&organization.material().definition()).unwrap();
    }
    msps
}

fn small_channel() -> (ChannelConfig, Member) {
    let (orderer, organization) = (Organization::new("OrdererMSP"), Organization::new("Org1MSP"));
    let consenters: Vec<Member> = (2..6).map(|serial| orderer.member("orderer", serial)).collect();
    let client = organization.member("client", 2);
    (channel(&orderer, &consenters, vec![organization.material()]), client)
}

const FORMS: usize = 6_000;
