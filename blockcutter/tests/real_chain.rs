//! A chain that real Fabric made, made again: the same envelopes give the same headers.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use blockcutter::config_block::{ConfigBlock, cut_timeout};
use blockcutter::{Chain, EnvelopeReject, SkipReason, check};
use bytes::Bytes;
use fabric_channel::config_change::RecomputeError;
use fabric_channel::config_transaction::ConfigTransactionReject;
use fabric_channel::filters::FilterReject;
use fabric_channel::{ConfigChange, ConfigContent, ExpiryCheck};
use fabric_proto::{Envelope, block, canonical};
use mod_smart::InstanceId;
use world::{
    Genesis, bend, bftch, blocks, channel, cuts_opened, envelope, next_config, opened, order_envelopes, real_block,
    real_config, real_genesis, replica, skips, wrap,
};

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
        assert_eq!(
            &ours.metadata_value[..],
            [0x0a, 0, 0x12, 2, 0x10, 1],
            "last config 0, instance 1, and nothing else"
        );
        assert_eq!((ours.last_config, ours.is_config, &ours.channel), (0, false, &bftch()));
        assert_eq!(ordering.tip(&bftch()).unwrap().number, number);
    }
}

#[test]
fn real_envelopes_and_the_genesis_block_are_admitted() {
    let envelopes = (1..=4).flat_map(|number| real_block(number).entries().to_vec());
    let envelopes: Vec<Bytes> = envelopes.chain([world::data("bft/endorser_tx_envelope.pb")]).collect();
    let body = command::encode(&[Command::Envelopes { channel: bftch(), sequence: 0, envelopes }]);
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
    assert_eq!(cut_timeout(&raft.config), std::time::Duration::from_secs(2));
}

#[test]
fn a_real_config_is_ordered_in_one_spelling_and_from_a_writer_only() {
    let mut chain = Chain::open(&ConfigBlock::genesis(&bftch(), real_genesis()).unwrap());
    // Fabric writes the members of a group in random order. One spelling and no other is ordered here.
    let real = Envelope::decode(real_config()).unwrap();
    let mismatch = ConfigTransactionReject::Recompute(RecomputeError::Mismatch);
    assert_eq!(chain.on_config(InstanceId(1), &real, 0), Err(EnvelopeReject::from(mismatch).into()));

    let update = ConfigContent::decode(real.data()).unwrap().last_update.unwrap();
    let update = Envelope::decode(canonical::encode(&update.payload, &update.signature)).unwrap();
    let change = ConfigChange::evaluate(chain.config().bundle(), &update, ExpiryCheck::Skip).unwrap();
    assert_eq!(change.check_orderable().unwrap().batch_size().max_message_count, 20);
    let wrapped_by_nobody = Envelope::decode(wrap(&change)).unwrap();
    let refused = chain.on_config(InstanceId(1), &wrapped_by_nobody, 0);
    let Err(SkipReason::Envelope(EnvelopeReject::Config(why))) = &refused else { panic!("{refused:?}") };
    assert!(matches!(&**why, ConfigTransactionReject::Filter(FilterReject::NotAWriter(_))), "{why}");
}

#[test]
fn a_config_envelope_cuts_what_is_open_and_stands_alone() {
    let genesis = Genesis::free().block();
    let mut chain = Chain::open(&ConfigBlock::genesis(&bftch(), genesis).unwrap());
    let waiting = Envelope::decode(envelope(1)).unwrap();
    assert_eq!(chain.on_envelope(InstanceId(1), &waiting, 0).unwrap(), []);

    let config = Envelope::decode(next_config(chain.config(), 20)).unwrap();
    let cut = chain.on_config(InstanceId(1), &config, 0).unwrap();
    let [before, own] = &cut[..] else { panic!("{cut:?}") };
    assert_eq!((before.header.number, before.is_config, before.last_config), (1, false, 0));
    assert_eq!(before.data, [envelope(1)]);
    assert_eq!((own.header.number, own.is_config, own.last_config), (2, true, 2));
    assert_eq!(own.data, [config.bytes().clone()]);
    assert_eq!(own.header.previous_hash, before.header_hash.as_slice());
    assert_eq!(&own.metadata_value[..], [0x0a, 2, 8, 2, 0x12, 2, 0x10, 1], "a config block names itself");
    assert!(block::is_config(&own.data));
    assert_eq!((chain.last_config(), chain.config().sequence()), (2, 1));

    // The block kept in the state is the one that was cut.
    let kept = ConfigBlock::of_channel(&bftch(), chain.config_block().clone()).unwrap();
    assert_eq!(kept.header, own.header);

    // Ten envelopes were a block before, twenty are one now, and they point to the config block.
    for number in 2..21 {
        assert_eq!(chain.on_envelope(InstanceId(1), &Envelope::decode(envelope(number)).unwrap(), 1).unwrap(), []);
    }
    let cut = chain.on_envelope(InstanceId(1), &Envelope::decode(envelope(21)).unwrap(), 1).unwrap();
    assert_eq!((cut.len(), cut[0].data.len(), cut[0].header.number, cut[0].last_config), (1, 20, 3, 2));
    assert_eq!(&cut[0].metadata_value[..], [0x0a, 2, 8, 2, 0x12, 2, 0x10, 1]);
}

#[test]
fn a_config_envelope_that_does_not_follow_changes_nothing() {
    let free = Genesis::free();
    let mut chain = Chain::open(&ConfigBlock::genesis(&bftch(), free.block()).unwrap());
    chain.on_envelope(InstanceId(1), &Envelope::decode(envelope(1)).unwrap(), 0).unwrap();
    let before = (chain.tip(), chain.open_cut());
    let config = next_config(chain.config(), 1);
    let decoded = Envelope::decode(config.clone()).unwrap();
    for sequence in [1, 7, u64::MAX] {
        let rejected = chain.on_config(InstanceId(1), &decoded, sequence);
        assert_eq!(rejected, Err(SkipReason::OtherSequence { current: 0, found: sequence }));
    }
    // Another result than its update leads to: a byte of the count of envelopes in a block, which stands twice in it.
    let bent = bend(&config, 1, 2);
    let of_another = Genesis { channel: channel("other"), ..free.clone() };
    let elsewhere = ConfigBlock::genesis(&channel("other"), of_another.block()).unwrap();
    let wrong = [bent, next_config(&elsewhere.config, 1), envelope(2), free.config_envelope()];
    for envelope in wrong {
        let rejected = chain.on_config(InstanceId(1), &Envelope::decode(envelope).unwrap(), 0);
        assert!(matches!(rejected, Err(SkipReason::Envelope(EnvelopeReject::Config(_)))), "{rejected:?}");
    }
    assert_eq!((chain.tip(), chain.open_cut()), before);

    assert_eq!(chain.on_config(InstanceId(1), &decoded, 0).unwrap().len(), 2);
    assert_eq!(chain.on_config(InstanceId(1), &decoded, 0), Err(SkipReason::Duplicate));
    assert_eq!(
        chain.on_envelope(InstanceId(1), &Envelope::decode(envelope(3)).unwrap(), 1).unwrap().len(),
        1,
        "one is a block now"
    );
}

#[test]
fn config_envelopes_are_not_ordered_on_request() {
    let mut ordering = opened(&real_genesis());
    let out = order_envelopes(&mut ordering, vec![real_config()]);
    assert_eq!(skips(&out).len(), 1);
    assert_eq!(ordering.tip(&bftch()).unwrap().number, 0);
}
