//! A chain that real Fabric made, made again: the same envelopes give the same headers.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use blockcutter::{Chain, SkipReason, check};
use bytes::Bytes;
use fabric_proto::{Envelope, block};
use world::{
    Genesis, bftch, blocks, channel, cuts_opened, envelope, opened, order_envelopes, real_block, real_config,
    real_genesis, replica, skips,
};

use blockcutter::config_block::{ConfigBlock, ConfigBlockReject};
use blockcutter::{Command, command};

#[test]
fn the_headers_are_those_of_fabric() {
    let mut ordering = opened(&real_genesis());
    for number in 1..=4 {
        let real = real_block(number);
        let out = order_envelopes(&mut ordering, real.entries().to_vec());
        let [ours] = &blocks(&out)[..] else { panic!("block {number}: {out:?}") };
        assert_eq!(Some(&ours.header), real.header.as_ref());
        assert_eq!(ours.header_hash, real.header.as_ref().unwrap().hash());
        assert_eq!(ours.data, real.entries());
        assert_eq!(&ours.metadata_value[..], [0x0a, 0], "last config 0, and nothing else");
        assert_eq!((ours.last_config, ours.is_config, &ours.channel), (0, false, &bftch()));
        assert_eq!(ordering.tip(&bftch()).unwrap().number, number);
    }
}

#[test]
fn real_envelopes_and_the_genesis_block_are_admitted() {
    let envelopes = (1..=4).flat_map(|number| real_block(number).entries().to_vec());
    let envelopes: Vec<Bytes> = envelopes.chain([world::data("bft/endorser_tx_envelope.pb")]).collect();
    let body = command::encode(&[Command::Envelopes { channel: bftch(), envelopes }]);
    assert_eq!(check(&body, world::FRONTEND), Ok(()));
    let body = command::encode(&[Command::OpenChannel { channel: bftch(), genesis: real_genesis() }]);
    assert_eq!(check(&body, replica(0)), Ok(()));
}

#[test]
fn the_shorter_timeout_counts_on_a_channel_of_type_bft_and_the_batch_timeout_on_etcdraft() {
    // The real genesis block says BatchTimeout 2s and RequestBatchMaxInterval 200ms.
    let out = order_envelopes(&mut opened(&real_genesis()), vec![envelope(1)]);
    assert_eq!(cuts_opened(&out), [(1, std::time::Duration::from_millis(200))]);
    let out = order_envelopes(&mut opened(&Genesis::default().block()), vec![envelope(1)]);
    assert_eq!(cuts_opened(&out), [(1, std::time::Duration::from_millis(150))]);
    let raft = ConfigBlock::genesis(&channel("raftch"), world::data("raft/genesis.block")).unwrap();
    assert_eq!(raft.batch_timeout(), std::time::Duration::from_secs(2));
}

#[test]
fn a_config_envelope_cuts_what_is_open_and_stands_alone() {
    let mut chain = Chain::open(&ConfigBlock::genesis(&bftch(), real_genesis()).unwrap());
    let waiting = Envelope::decode(envelope(1)).unwrap();
    assert_eq!(chain.on_envelope(&waiting).unwrap(), []);

    let config = Envelope::decode(real_config()).unwrap();
    let cut = chain.on_config(&config).unwrap();
    let [before, own] = &cut[..] else { panic!("{cut:?}") };
    assert_eq!((before.header.number, before.is_config, before.last_config), (1, false, 0));
    assert_eq!(before.data, [envelope(1)]);
    assert_eq!((own.header.number, own.is_config, own.last_config), (2, true, 2));
    assert_eq!(own.data, [real_config()]);
    assert_eq!(own.header.previous_hash, before.header_hash.as_slice());
    assert_eq!(&own.metadata_value[..], [0x0a, 2, 8, 2], "a config block names itself");
    assert!(block::is_config(&own.data));
    assert_eq!((chain.last_config(), chain.config_sequence()), (2, 1));

    // The block kept in the state is the one that was cut.
    let kept = ConfigBlock::of_channel(&bftch(), chain.config_block().clone()).unwrap();
    assert_eq!(kept.header, own.header);

    // Ten envelopes were a block before, twenty are one now, and they point to the config block.
    for number in 2..21 {
        assert_eq!(chain.on_envelope(&Envelope::decode(envelope(number)).unwrap()).unwrap(), []);
    }
    let cut = chain.on_envelope(&Envelope::decode(envelope(21)).unwrap()).unwrap();
    assert_eq!((cut.len(), cut[0].data.len(), cut[0].header.number, cut[0].last_config), (1, 20, 3, 2));
    assert_eq!(&cut[0].metadata_value[..], [0x0a, 2, 8, 2]);
}

#[test]
fn a_config_envelope_that_does_not_follow_changes_nothing() {
    let mut chain = Chain::open(&ConfigBlock::genesis(&bftch(), real_genesis()).unwrap());
    chain.on_envelope(&Envelope::decode(envelope(1)).unwrap()).unwrap();
    let before = (chain.tip(), chain.open_cut());
    let next = |change: Genesis| Envelope::decode(change.config_envelope()).unwrap();
    let rejects = [
        (next(Genesis { sequence: 2, ..Genesis::default() }), ConfigBlockReject::Sequence { expected: 1, found: 2 }),
        (
            next(Genesis { sequence: 1, channel: channel("other"), ..Genesis::default() }),
            ConfigBlockReject::OtherChannel { named: channel("other") },
        ),
    ];
    for (envelope, reject) in rejects {
        assert_eq!(chain.on_config(&envelope), Err(reject.into()));
    }
    let not_config = chain.on_config(&Envelope::decode(envelope(2)).unwrap());
    assert!(matches!(not_config, Err(SkipReason::ConfigBlock(_))), "{not_config:?}");
    let zero = chain.on_config(&next(Genesis { sequence: 1, count: 0, ..Genesis::default() }));
    assert!(matches!(zero, Err(SkipReason::ConfigBlock(_))), "{zero:?}");
    assert_eq!((chain.tip(), chain.open_cut()), before);

    let config = next(Genesis { sequence: 1, count: 1, ..Genesis::default() });
    assert_eq!(chain.on_config(&config).unwrap().len(), 2);
    assert_eq!(chain.on_config(&config), Err(SkipReason::Duplicate));
    assert_eq!(chain.on_envelope(&Envelope::decode(envelope(3)).unwrap()).unwrap().len(), 1, "one is a block now");
}

#[test]
fn config_envelopes_are_not_ordered_on_request() {
    let mut ordering = opened(&real_genesis());
    let out = order_envelopes(&mut ordering, vec![real_config()]);
    assert_eq!(skips(&out).len(), 1);
    assert_eq!(ordering.tip(&bftch()).unwrap().number, 0);
}
