//! Fabric's `osnadmin` over the participation API, with client certificates.

use crate::admin::Osnadmin;
use crate::orderers::{CHANNEL, Orderers};
use crate::release::{Fabric, Release};

#[tokio::test(flavor = "multi_thread")]
async fn osnadmin_joins_lists_fetches_updates_and_removes() {
    let Some(fabric) = Fabric::v3(OSNADMIN) else { return };
    osnadmin_does_what_it_can(&fabric).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn osnadmin_of_v2_5_joins_lists_and_removes() {
    let Some(fabric) = Fabric::v2_5(OSNADMIN) else { return };
    osnadmin_does_what_it_can(&fabric).await;
}

async fn osnadmin_does_what_it_can(fabric: &Fabric) {
    let orderers = Orderers::start(true).await;
    let osnadmin = Osnadmin::new(&fabric.programs, &orderers);
    for id in [4, 2, 1, 3] {
        let said =
            osnadmin.run(id, &["join", "--channelID", CHANNEL, "--config-block", &orderers.file("genesis.block")]);
        assert!(said.starts_with("Status: 201"), "{said}");
    }
    let mut sent = orderers.order(1, 20).await;
    orderers.check_chain(&sent).await;
    let said = osnadmin.run(1, &["list"]);
    assert!(said.starts_with("Status: 200") && said.contains(CHANNEL), "{said}");
    let said = osnadmin.run(1, &["list", "--channelID", CHANNEL]);
    assert!(said.contains("\"consensusRelation\": \"consenter\""), "{said}");

    // That of v2.5 cannot fetch and update.
    if fabric.release == Release::V3 {
        let (block, update) = (orderers.file("config.block"), orderers.file("update.pb"));
        osnadmin.run(2, &["fetch", "--channelID", CHANNEL, "--blockID", "config", "--outputfile", &block]);
        std::fs::write(&update, orderers.batch_size_update(&std::fs::read(&block).unwrap())).unwrap();
        let said = osnadmin.run(2, &["update", "--channelID", CHANNEL, "--config-update-envelope", &update]);
        assert!(said.starts_with("Status: 201"), "{said}");
    }
    sent.extend(orderers.order(3, 10).await);
    orderers.check_chain(&sent).await;

    let said = osnadmin.run(3, &["remove", "--channelID", CHANNEL]);
    assert!(said.starts_with("Status: 204"), "{said}");
    assert!(osnadmin.run(3, &["list"]).contains("\"channels\": null"));
}

const OSNADMIN: &str = "osnadmin over the participation API";
