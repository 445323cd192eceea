//! Everything that is sent is ordered once, and all nodes have the same blocks.

use bytes::Bytes;
use futures::future::try_join_all;
use integration::client::{broadcast, key_of, occurrences, one_chain};
use integration::material::Cutting;
use integration::network::Network;

/// Each envelope goes to two of the four frontends.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_through_two_frontends_is_ordered_once_and_alike_on_all_nodes() {
    let network = Network::start(&Cutting::default()).await.unwrap();
    let ids = network.ids();
    let envelopes: Vec<Bytes> = (0..ENVELOPES).map(|_| network.user().transaction_of_size(200)).collect();

    let sending = ids.iter().enumerate().map(|(at, &id)| {
        let is_ours = move |number: &usize| number % ids_len() == at || (number + 1) % ids_len() == at;
        let share: Vec<Bytes> = (0..ENVELOPES).filter(is_ours).map(|number| envelopes[number].clone()).collect();
        assert_eq!(share.len(), ENVELOPES / 2);
        let endpoint = network.endpoint(id).unwrap();
        async move { broadcast(&endpoint, share).await }
    });
    try_join_all(sending).await.unwrap();

    let chain = one_chain(&network, &ids).await.unwrap();
    let found = occurrences(&chain);
    assert_eq!(found.len(), ENVELOPES, "envelopes in {} blocks", chain.len());
    for envelope in &envelopes {
        assert_eq!(found.get(&key_of(envelope)), Some(&1), "each envelope is in the chain once");
    }
    for block in &chain {
        assert!(block.signers.len() >= 3, "block {} has the signatures of {:?}", block.number, block.signers);
    }
}

const ENVELOPES: usize = 2000;

const fn ids_len() -> usize {
    integration::material::ORDERERS as usize
}
