//! Transactions of a real peer's clients, endorsed by the peer and ordered by the `orderer` processes. The chaincode runs as a
//! service in the test itself.

use integration::fabric::Chaincode;

use crate::orderers::CHANNEL;
use crate::release::Fabric;
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn endorsed_transactions_are_committed_as_valid_through_the_gateway_and_by_the_command() {
    let Some(fabric) = Fabric::v3(TRANSACTIONS) else { return };
    endorsed_transactions_are_committed(&fabric).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endorsed_transactions_of_v2_5_are_committed_as_valid_through_the_gateway_and_by_the_command() {
    let Some(fabric) = Fabric::v2_5(TRANSACTIONS) else { return };
    endorsed_transactions_are_committed(&fabric).await;
}

async fn endorsed_transactions_are_committed(fabric: &Fabric) {
    let mut stage = Stage::set_without_blocks(fabric).await;
    let chaincode = Chaincode::start(&stage.orderers.for_fabric().folder).await.unwrap();
    stage.peer.deploy(CHANNEL, &chaincode).unwrap();

    stage.peer.invoke(CHANNEL, &["put", "colour", "red"]).unwrap();
    assert_eq!(stage.peer.query(CHANNEL, &["get", "colour"]).unwrap(), "red");

    // On type BFT the gateway gives each transaction to all nodes and is content with a quorum of them; on type etcdraft to one
    // after another, until one takes it.
    let gateway = stage.peer.gateway(CHANNEL).await.unwrap();
    let mut last = 0;
    for colour in ["green", "blue", "white"] {
        let committed = gateway.submit(&["put", "colour", colour]).await.unwrap();
        assert!(committed.is_valid() && committed.block_number > last, "{committed:?} after block {last}");
        last = committed.block_number;
        assert_eq!(gateway.evaluate(&["get", "colour"]).await.unwrap(), colour);
    }
    stage.orderers.kill(2);
    let committed = gateway.submit(&["put", "colour", "black"]).await.unwrap();
    assert!(committed.is_valid(), "{committed:?}");
    assert_eq!(stage.peer.query(CHANNEL, &["get", "colour"]).unwrap(), "black");
    stage.orderers.start_again(2).await;

    // No transaction is in the chain twice.
    stage.order(2, 10).await;
    stage.check().await;
}

const TRANSACTIONS: &str = "endorsed transactions that `orderer` orders";
