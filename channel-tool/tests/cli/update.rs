//! `channel update`: from a wish to an update that orderers accept.

use std::path::Path;

use fabric_channel::authoring::SignedUpdate;
use fabric_channel::{Bundle, ChannelConfig, ConfigChange, ExpiryCheck, consenter_set, filters};
use fabric_proto::Envelope;
use fabric_proto::common::Block;
use prost::Message as _;

use super::{call, channel, data};

#[test]
fn the_file_of_a_batch_size_update_is_that_of_configtxlator() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    channel("update batch-size --config {b}/bft/genesis.block --out {t}/u.pb --max-messages 20", folder).succeeds();
    let real = std::fs::read(data("bft/config_update_envelope_unsigned.pb")).unwrap();
    assert_eq!(std::fs::read(folder.join("u.pb")).unwrap(), real);
}

#[test]
fn an_organisation_goes_when_a_majority_has_signed_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let report =
        channel("update org remove --application Org2 --config {b}/bft/genesis.block -o {t}/u.pb", folder).succeeds();
    assert!(report.contains("changes\n  - group /Channel/Application/Org2\n"), "{report}");
    sign(folder, "org1", "Org1MSP");
    let explain = "explain --config {b}/bft/genesis.block --update {t}/u.pb";
    let report = channel(explain, folder).fails_with("would be refused now");
    let missing = "needs Admins of 2 of Org1, Org2: 1 signed (Org1), missing 1 of Org2 (1 of (an admin of Org2MSP))";
    assert!(report.contains(missing), "{report}");
    sign(folder, "org2", "Org2MSP");
    let report = channel(explain, folder).succeeds();
    assert!(report.contains("sender: the outer envelope is not signed yet"), "{report}");
    assert!(report.ends_with("verdict: the update would be accepted\n"), "{report}");
    let next = accepted(folder, &genesis("bft/genesis"));
    let organizations =
        |config: &Bundle| config.application().unwrap().organizations.keys().cloned().collect::<Vec<_>>();
    assert_eq!(organizations(next.bundle()), ["Org1"]);

    // What configtxgen prints of the organisation brings it back as it was.
    std::fs::write(folder.join("config.pb"), next.bundle().tree().encode()).unwrap();
    let real: serde_json::Value =
        serde_json::from_slice(&std::fs::read(data("bft/config_after.json")).unwrap()).unwrap();
    let groups = &real["data"]["data"][0]["payload"]["data"]["config"]["channel_group"]["groups"];
    std::fs::write(folder.join("org2.json"), groups["Application"]["groups"]["Org2"].to_string()).unwrap();
    let add = "update org add --application Org2 --config {t}/config.pb --channel bftch -o {t}/u.pb --definition";
    channel(&format!("{add} {{t}}/org2.json"), folder).succeeds();
    sign(folder, "org1", "Org1MSP");
    let again = accepted(folder, &next);
    assert_eq!(organizations(again.bundle()), ["Org1", "Org2"]);
    let group = |config: &ChannelConfig| config.bundle().tree().group("Application").unwrap().groups["Org2"].clone();
    assert_eq!(group(&again), group(&genesis("bft/genesis")));

    // So does its MSP folder, with the policies and the anchor peer that it had.
    let folder_of_org2 = "{d}/crypto/org2 --msp-id Org2MSP --anchor-peers 127.0.0.1:8061";
    channel(&format!("{add} {folder_of_org2}"), folder).succeeds();
    sign(folder, "org1", "Org1MSP");
    assert_eq!(group(&accepted(folder, &next)), group(&genesis("bft/genesis")));
}

#[test]
fn an_update_is_ready_to_send_when_a_writer_has_wrapped_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let acl = "update acl --config {b}/bft/genesis.block -o {t}/u.pb --set peer/Propose=/Channel/Application/Admins";
    channel(acl, folder).succeeds();
    sign(folder, "org1", "Org1MSP");
    sign(folder, "org2", "Org2MSP");
    let sign_again = "update sign --msp-dir {d}/crypto/org2 --msp-id Org2MSP {t}/u.pb";
    channel(sign_again, folder).fails_with("Org2MSP/Admin@org2.example.com has signed it already");
    let wrap = "update wrap --msp-dir {d}/crypto/org1 --msp-id Org1MSP {t}/u.pb --out {t}/ready.pb";
    channel(wrap, folder).succeeds();
    let report = channel("explain --config {b}/bft/genesis.block --update {t}/ready.pb", folder).succeeds();
    assert!(report.contains("sender: the outer envelope is signed by a writer"), "{report}");
    let envelope = Envelope::decode(std::fs::read(folder.join("ready.pb")).unwrap().into()).unwrap();
    assert_eq!(filters::check(&genesis("bft/genesis"), &envelope, None), Ok(()));
    assert_eq!(envelope.check_canonical(), Ok(()));
    // Whoever claims another MSP is no writer.
    let alias = "update submit-ready --msp-dir {d}/crypto/org1 --msp-id Org2MSP {t}/ready.pb";
    channel(alias, folder).succeeds();
    channel("explain --config {b}/bft/genesis.block --update {t}/ready.pb", folder)
        .fails_with("the outer envelope would be refused");
}

#[test]
fn endpoints_and_consenters_change_with_the_signature_of_the_orderers_administrator() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let at = "--config {b}/bft/genesis.block -o {t}/u.pb";
    channel(&format!("update endpoints {at} --org OrdererOrg --set a.example:7050,b.example:7050"), folder).succeeds();
    sign(folder, "orderer", "OrdererMSP");
    let next = accepted(folder, &genesis("bft/genesis"));
    assert_eq!(next.orderer_organizations()["OrdererOrg"].endpoints, ["a.example:7050", "b.example:7050"]);

    let admin = "{d}/crypto/orderer/signcerts/Admin@orderer.example.com-cert.pem";
    let material = format!(
        "--address o5.example:7050 --msp-id OrdererMSP --identity {admin} --client-tls {admin} --server-tls {admin}"
    );
    let report =
        channel(&format!("update consenter add {at} {material} --endpoint OrdererOrg=o5.example:7051"), folder)
            .succeeds();
    let moves =
        "note: the channel moves to an ordering group of 5 consenters, 4 of them as before; it goes on as soon as 4 of";
    assert!(report.contains(moves) && report.contains("note: let every new node join the channel"), "{report}");
    sign(folder, "orderer", "OrdererMSP");
    let next = accepted(folder, &genesis("bft/genesis"));
    assert_eq!(
        next.consenters().last().map(|consenter| (consenter.id, consenter.address())),
        Some((5, "o5.example:7050".to_owned()))
    );
    assert!(next.has_derived_block_policy());
    assert!(next.endpoints().any(|endpoint| endpoint == "o5.example:7051"));

    let report =
        channel(&format!("update consenter replace {at} --id 2 --address moved.example:7051"), folder).succeeds();
    assert!(!report.contains("note:"), "{report}");
    sign(folder, "orderer", "OrdererMSP");
    let next = accepted(folder, &genesis("bft/genesis"));
    assert_eq!(next.consenters()[1].address(), "moved.example:7051");
    assert!(consenter_set::is_same(&genesis("bft/genesis"), &next));
}

#[test]
fn consenters_of_type_etcdraft_live_in_the_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let at = "--config {b}/raft/genesis.block -o {t}/u.pb";
    let report = channel(&format!("update consenter remove {at} --at 127.0.0.1:7051"), folder).succeeds();
    assert!(report.contains("      old: consenter at 127.0.0.1:7051\n"), "{report}");
    sign(folder, "orderer", "OrdererMSP");
    assert_eq!(accepted(folder, &genesis("raft/genesis")).consenters().len(), 2);
    channel(&format!("update consenter remove {at} --at nobody:1"), folder)
        .fails_with("there is no consenter nobody:1");
    let tls = "{d}/crypto/orderer/signcerts/Admin@orderer.example.com-cert.pem";
    let material = format!("--address o4.example:7050 --client-tls {tls} --server-tls {tls}");
    channel(&format!("update consenter add {at} {material}"), folder).fails_with("would be refused whoever signs it");
}

#[test]
fn the_way_between_two_configurations_is_computed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let compute = "update compute --config {b}/raft/genesis.block --to {d}/raft/config_after.block --out {t}/u.pb";
    channel(compute, folder).succeeds();
    let bytes = std::fs::read(folder.join("u.pb")).unwrap();
    let real = std::fs::read(data("raft/config_update.pb")).unwrap();
    assert_eq!(SignedUpdate::read(&bytes.into()).unwrap().content().config_update, real);
}

#[test]
fn what_would_be_refused_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let at = "--config {b}/bft/genesis.block --out {t}/u.pb";
    for (update, why) in [
        ("batch-size --max-messages 10", "nothing would change"),
        ("batch-size --max-messages 0", "/Channel/Orderer/BatchSize: max_message_count must not be 0"),
        ("batch-size --preferred-bytes 4000000000", "preferred_max_bytes 4000000000 is greater than"),
        ("batch-size --timeout soon", "/Channel/Orderer/BatchTimeout"),
        ("endpoints --org Nobody --set a:1", "/Channel/Orderer/Nobody is missing"),
        ("acl --unset peer/Propose", "nothing is set for \"peer/Propose\""),
        ("org remove --application Org9", "/Channel/Application/Org9 is missing"),
        ("org remove --orderer OrdererOrg", "MSP \"OrdererMSP\" is not defined on the channel"),
        (
            "org add --application Org1 --definition {d}/crypto/org1 --msp-id Org1MSP",
            "/Channel/Application/Org1 exists already",
        ),
        (
            "org add --application Org9 --definition {d}/crypto/org1 --msp-id Org2MSP",
            "two different definitions of MSP",
        ),
        ("org add --orderer Org9 --definition {d}/crypto/org1 --msp-id Org1MSP", "Endpoints are missing"),
        ("org add --application Org9 --definition {d}/README.md", "not JSON"),
        ("consenter remove --id 9", "there is no consenter 9"),
    ] {
        channel(&format!("update {update} {at}"), folder).fails_with(why);
    }
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
}

#[test]
fn arguments_that_make_no_sense_end_with_2() {
    let at = "--config {b}/bft/genesis.block --out /nonexistent/u.pb";
    for update in [
        "batch-size",
        "acl",
        "acl --set peer/Propose",
        "endpoints --org OrdererOrg --set nowhere",
        "org remove",
        "org remove --application A --orderer B",
        "org add --application A --definition {d}/crypto/org1",
        "org add --application A --definition {d}/crypto/org1 --msp-id A --endpoints a:1",
        "consenter remove",
        "consenter remove --id 1 --endpoint a:1",
    ] {
        assert_eq!(call(&format!("update {update} {at}")).code, 2, "{update}");
    }
}

#[test]
fn whoever_removes_the_last_organisation_is_told_what_that_means() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let note = "note: no organisation is left in /Channel/Application";
    let remove = |org: &str, from: &str| {
        channel(&format!("update org remove --application {org} --config {from} -o {{t}}/u.pb"), folder).succeeds()
    };
    assert!(!remove("Org2", "{b}/bft/genesis.block").contains(note));
    sign(folder, "org1", "Org1MSP");
    sign(folder, "org2", "Org2MSP");
    let next = accepted(folder, &genesis("bft/genesis"));
    std::fs::write(folder.join("next.pb"), next.bundle().tree().encode()).unwrap();
    assert!(remove("Org1", "{t}/next.pb --channel bftch").contains(note));
}

#[test]
fn a_signer_without_certificate_or_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let update = "{d}/bft/config_update_envelope_unsigned.pb";
    channel(&format!("update sign --msp-dir {{t}} --msp-id A {update}"), folder)
        .fails_with("no certificate in signcerts");
    std::fs::create_dir(folder.join("signcerts")).unwrap();
    std::fs::copy(data("crypto/org1/signcerts/Admin@org1.example.com-cert.pem"), folder.join("signcerts/a.pem"))
        .unwrap();
    std::fs::create_dir(folder.join("keystore")).unwrap();
    std::fs::copy(data("crypto/org2/keystore/priv_sk"), folder.join("keystore/b")).unwrap();
    channel(&format!("update sign --msp-dir {{t}} --msp-id A {update}"), folder)
        .fails_with("keystore has no P-256 key in PEM that belongs to the certificate of Admin@org1.example.com");
}

fn sign(folder: &Path, who: &str, msp_id: &str) {
    channel(&format!("update sign --msp-dir {{d}}/crypto/{who} --msp-id {msp_id} {{t}}/u.pb"), folder).succeeds();
}

fn genesis(name: &str) -> ChannelConfig {
    let path = data("../../../fabric-channel/tests/data").join(format!("{name}.block"));
    ChannelConfig::from_block(&Block::decode(&std::fs::read(path).unwrap()[..]).unwrap()).unwrap()
}

/// What the update file leads to, by the rules of orderers and peers.
fn accepted(folder: &Path, current: &ChannelConfig) -> ChannelConfig {
    let envelope = Envelope::decode(std::fs::read(folder.join("u.pb")).unwrap().into()).unwrap();
    let change = ConfigChange::evaluate(current.bundle(), &envelope, ExpiryCheck::Skip).unwrap();
    change.check_orderable().unwrap()
}
