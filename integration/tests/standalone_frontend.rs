//! A frontend that runs alone, in front of four real nodes.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use integration::administration::ready;
use integration::client::{assert_same, blocks, broadcast, one_chain};
use integration::material::{self, Cutting};
use integration::network::Network;
use integration::site::wait_until;
use integration::standalone::StandaloneFrontend;
use integration::verifier::VerifiedBlock;
use orderer_node::client::Endpoint;

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_every_kind_of_client_and_catches_up_after_it_was_killed() {
    let network = Network::start(&Cutting::default()).await.unwrap();
    let mut frontend = StandaloneFrontend::start(&network).unwrap();
    wait_until("the frontend is there", async || Ok(frontend.is_open(0).await)).await.unwrap();
    for endpoint in frontend.endpoints().unwrap() {
        let envelopes: Vec<_> = (0..100).map(|_| network.user().transaction_of_size(300)).collect();
        broadcast(&endpoint, envelopes).await.unwrap();
    }
    let chain = one_chain(&network, &network.ids()).await.unwrap();
    assert_eq!(chain.iter().map(|block| block.envelopes.len()).sum::<usize>(), 300);
    serves(&frontend, &network, &chain).await;

    let missed: Vec<_> = (0..100).map(|_| network.user().transaction_of_size(300)).collect();
    broadcast(&network.endpoint(1).unwrap(), missed).await.unwrap();
    frontend.restart().unwrap();
    let longer = one_chain(&network, &network.ids()).await.unwrap();
    assert!(longer.len() > chain.len());
    serves(&frontend, &network, &longer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_go_through_it_and_it_judges_by_them_also_after_it_was_killed() {
    let network = Network::start(&Cutting::default()).await.unwrap();
    let mut frontend = StandaloneFrontend::start(&network).unwrap();
    wait_until("the frontend is there", async || Ok(frontend.is_open(0).await)).await.unwrap();
    let [endpoint, ..] = frontend.endpoints().unwrap();
    let administrators = [(material::orderer_administrator_msp(), material::ORDERER_MSP_ID)];
    let sender = (material::user_msp(), material::PEER_MSP_ID);
    let small = ["batch-size", "--max-messages", "2", "--absolute-bytes", "100000", "--preferred-bytes", "50000"];
    let update = ready(network.genesis(), &small, &administrators, (&sender.0, sender.1)).unwrap();
    broadcast(&endpoint, [update]).await.unwrap();
    wait_until("the update is in force", async || Ok(frontend.is_open(1).await)).await.unwrap();

    // What was small enough before is too large now, and two are a block.
    for _ in 0..2 {
        let large = broadcast(&endpoint, [network.user().transaction_of_size(200_000)]).await.unwrap_err();
        assert!(large.to_string().contains("exceeds maximum allowed 100000 bytes"), "{large:#}");
        broadcast(&endpoint, (0..4).map(|_| network.user().transaction_of_size(300))).await.unwrap();
        frontend.restart().unwrap();
        wait_until("the frontend is back", async || Ok(frontend.is_open(1).await)).await.unwrap();
    }
    let chain = one_chain(&network, &network.ids()).await.unwrap();
    assert_eq!(chain.iter().map(|block| block.envelopes.len()).collect::<Vec<_>>(), [1, 2, 2, 2, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_with_a_channel_to_its_new_consenters_and_knows_them_after_it_was_killed() {
    let network = Network::start(&Cutting::default()).await.unwrap();
    let mut frontend = StandaloneFrontend::start(&network).unwrap();
    wait_until("the frontend is there", async || Ok(frontend.is_open(0).await)).await.unwrap();
    let [endpoint, ..] = frontend.endpoints().unwrap();
    let envelopes = || (0..30).map(|_| network.user().transaction_of_size(300));
    broadcast(&endpoint, envelopes()).await.unwrap();
    let administrators = [(material::orderer_administrator_msp(), material::ORDERER_MSP_ID)];
    let sender = (material::user_msp(), material::PEER_MSP_ID);
    let removal = ["consenter", "remove", "--id", "4"];
    let update = ready(network.genesis(), &removal, &administrators, (&sender.0, sender.1)).unwrap();
    broadcast(&endpoint, [update]).await.unwrap();
    // What comes while the channel moves waits, and is refused by nobody.
    broadcast(&endpoint, envelopes()).await.unwrap();
    wait_until("the channel has moved", async || Ok(frontend.is_open(1).await)).await.unwrap();
    broadcast(&endpoint, envelopes()).await.unwrap();
    serves(&frontend, &network, &one_chain(&network, &[1, 2, 3]).await.unwrap()).await;

    frontend.restart().unwrap();
    wait_until("the frontend is back", async || Ok(frontend.is_open(1).await)).await.unwrap();
    broadcast(&endpoint, envelopes()).await.unwrap();
    let chain = one_chain(&network, &[1, 2, 3]).await.unwrap();
    assert_eq!(chain.iter().map(|block| block.envelopes.len()).sum::<usize>(), 121);
    serves(&frontend, &network, &chain).await;
}

/// It comes to have this chain, with signatures that it collected itself, and gives it out in every way.
async fn serves(frontend: &StandaloneFrontend, network: &Network, chain: &[VerifiedBlock]) {
    let height = chain.len() as u64 + 1;
    wait_until("the frontend has the chain", async || Ok(frontend.height().await >= height)).await.unwrap();
    for endpoint in frontend.endpoints().unwrap() {
        assert_same(&verified(&endpoint, network, height).await, chain).unwrap();
    }
}

async fn verified(endpoint: &Endpoint, network: &Network, height: u64) -> Vec<VerifiedBlock> {
    let blocks = blocks(endpoint, network.user(), height).await.unwrap();
    assert_eq!(blocks[0], *network.genesis());
    let mut verifier = network.verifier().unwrap();
    blocks[1..].iter().map(|block| verifier.verify_next(block).unwrap()).collect()
}
