//! `dev` on a genesis block and keys that Fabric's own tools made, with envelopes that Fabric's own client signed.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use integration::client::{broadcast, key_of, occurrences, one_chain};
use integration::dev_network::DevNetwork;
use integration::material;
use integration::ports::is_free;
use integration::skip::say_skipped;

#[tokio::test(flavor = "multi_thread")]
async fn dev_runs_on_material_of_fabrics_tools_and_every_block_verifies() {
    // The addresses stand in the genesis block.
    if let Some(busy) = (7050..=7053).find(|port| !is_free(*port)) {
        return say_skipped(&format!("port {busy} is in use, and the genesis block of Fabric's tools needs it"));
    }
    let (genesis, crypto) = (material::data().join("bft/genesis.block"), material::crypto());
    let arguments = ["--genesis", genesis.to_str().unwrap(), "--crypto", crypto.to_str().unwrap()];
    let network = DevNetwork::start(&arguments).await.unwrap();
    assert_eq!(*network.genesis(), std::fs::read(&genesis).unwrap());

    // The same two envelopes, to every node and twice: in blocks they are once.
    let real = ["endorser_style_envelope", "endorser_tx_envelope"].map(|name| {
        let file = material::data().join(format!("bft/{name}.pb"));
        bytes::Bytes::from(std::fs::read(file).unwrap())
    });
    for _ in 0..2 {
        for id in network.ids() {
            broadcast(&network.endpoint(id).unwrap(), real.clone()).await.unwrap();
        }
    }
    let ours: Vec<_> = (0..50).map(|_| network.user().transaction_of_size(500)).collect();
    broadcast(&network.endpoint(2).unwrap(), ours.clone()).await.unwrap();

    let chain = one_chain(&network, &network.ids()).await.unwrap();
    let found = occurrences(&chain);
    assert_eq!(found.len(), real.len() + ours.len());
    for envelope in real.iter().chain(&ours) {
        assert_eq!(found.get(&key_of(envelope)), Some(&1));
    }
    assert!(chain.iter().all(|block| block.signers.len() >= 3 && block.envelopes.len() <= 10));

    network.stop().await.unwrap();
    assert!((7050..=7053).all(is_free), "a node outlived dev");
}
