//! What a replica takes in, and what it refuses before it is held anywhere.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use blockcutter::config_block::ConfigBlockReject;
use blockcutter::{Command, CommandReject, EnvelopeReject, Objection, Ordering, Verification, check, command, judge};
use bytes::Bytes;
use fabric_proto::EnvelopeError;
use fabric_proto::canonical::CanonicalError;
use mod_smart::Client;
use world::{
    FRONTEND, Genesis, bend, bftch, block_of, channel, envelope, envelope_of, next_config, opened, order_config,
    real_genesis, replica,
};

fn check_one(command: Command, origin: Client) -> Result<(), CommandReject> {
    check(&command::encode(&[command]), origin)
}

fn check_envelope(bytes: Bytes) -> Result<(), EnvelopeReject> {
    let envelopes = vec![envelope(1), bytes];
    match check_one(Command::Envelopes { channel: bftch(), sequence: 0, envelopes }, FRONTEND) {
        Ok(()) => Ok(()),
        Err(CommandReject::Envelope { channel, index: 1, reject }) if channel == bftch() => Err(reject),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_empty_body_is_admitted_and_an_empty_group_is_not() {
    assert_eq!(check(&Bytes::new(), FRONTEND), Ok(()));
    let empty = check_one(Command::Envelopes { channel: bftch(), sequence: 0, envelopes: vec![] }, FRONTEND);
    assert_eq!(empty, Err(CommandReject::NoEnvelopes { channel: bftch() }));
    assert!(matches!(check(&Bytes::from_static(b"?"), FRONTEND), Err(CommandReject::Body(_))));
}

#[test]
fn envelopes_must_be_canonical_and_name_their_channel() {
    assert_eq!(check_envelope(envelope(2)), Ok(()));
    assert_eq!(check_envelope(Bytes::new()), Err(EnvelopeReject::Malformed(EnvelopeError::NoPayload)));
    assert!(matches!(check_envelope(Bytes::from_static(b"\xff")), Err(EnvelopeReject::Malformed(_))));
    let trailing = [&envelope(2)[..], &[0x1a, 0]].concat();
    let other_spelling = EnvelopeReject::NotCanonical(CanonicalError::OtherSpelling);
    assert_eq!(check_envelope(trailing.into()), Err(other_spelling));
    let elsewhere = envelope_of(&channel("elsewhere"), 3, 2, 8);
    assert_eq!(check_envelope(elsewhere), Err(EnvelopeReject::OtherChannel { named: "elsewhere".to_owned() }));
}

#[test]
fn types_that_change_the_channel_are_refused_and_others_are_not() {
    for refused in [1, 2, 4] {
        let reject = check_envelope(envelope_of(&bftch(), refused, 2, 8));
        assert_eq!(reject, Err(EnvelopeReject::HeaderType(refused)));
    }
    for admitted in [0, 3, 5, 6, 7, -1, i32::MAX] {
        assert_eq!(check_envelope(envelope_of(&bftch(), admitted, 2, 8)), Ok(()));
    }
}

#[test]
fn only_replicas_ask_for_cuts_and_channels() {
    let cut = Command::CutAfterTimeout { channel: bftch(), number: 1 };
    let open = Command::OpenChannel { channel: bftch(), genesis: real_genesis() };
    for command in [cut, open] {
        assert_eq!(check_one(command.clone(), FRONTEND), Err(CommandReject::NotAllowed));
        assert_eq!(check_one(command, replica(3)), Ok(()));
    }
}

#[test]
fn a_genesis_block_must_open_the_channel_it_is_sent_for() {
    let check_genesis = |channel, genesis| match check_one(Command::OpenChannel { channel, genesis }, replica(0)) {
        Ok(()) => Ok(()),
        Err(CommandReject::Genesis { reject, .. }) => Err(*reject),
        other => panic!("{other:?}"),
    };
    let own = Genesis::default();
    assert_eq!(check_genesis(bftch(), own.block()), Ok(()));
    let other = check_genesis(channel("other"), own.block());
    assert_eq!(other, Err(ConfigBlockReject::OtherChannel { named: bftch() }));
    let later = block_of(1, Bytes::new(), vec![own.config_envelope()]);
    assert_eq!(check_genesis(bftch(), later), Err(ConfigBlockReject::NotTheFirst(1)));
    let chained = block_of(0, Bytes::from_static(&[1; 32]), vec![own.config_envelope()]);
    assert_eq!(check_genesis(bftch(), chained), Err(ConfigBlockReject::PreviousHash));
    let ordinary = block_of(0, Bytes::new(), vec![envelope(1)]);
    assert!(matches!(check_genesis(bftch(), ordinary), Err(ConfigBlockReject::Config(_))));
    assert!(matches!(check_genesis(bftch(), Bytes::from_static(b"\xff")), Err(ConfigBlockReject::Malformed(_))));

    // One bit of the data hash in the header turned over.
    let mut block = own.block().to_vec();
    let data_hash = fabric_proto::block::data_hash([own.config_envelope()]);
    let at = block.windows(32).position(|window| window == data_hash).unwrap();
    block[at] ^= 1;
    assert_eq!(check_genesis(bftch(), block.into()), Err(ConfigBlockReject::DataHash));
}

fn judge_one(command: Command, ordering: &Ordering, verification: Verification) -> Result<(), Objection> {
    judge(&command::encode(&[command]), FRONTEND, &ordering.configurations(), verification)
}

#[test]
fn what_the_configuration_it_names_does_not_permit_is_not_taken_in() {
    let (strict, free) = (opened(&Genesis::default().block()), opened(&Genesis::free().block()));
    let under = |sequence| Command::Envelopes { channel: bftch(), sequence, envelopes: vec![envelope(1)] };
    let refused = judge_one(under(0), &strict, Verification::Full);
    let Err(Objection::NotPermitted { channel, index: 0, reject: EnvelopeReject::Filter(_) }) = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!(channel, &bftch());
    assert_eq!(judge_one(under(0), &strict, Verification::Frontends), Ok(()));
    assert_eq!(judge_one(under(0), &free, Verification::Full), Ok(()));

    let large =
        Command::Envelopes { channel: bftch(), sequence: 0, envelopes: vec![envelope_of(&bftch(), 3, 1, 100_001)] };
    assert!(matches!(judge_one(large, &free, Verification::Full), Err(Objection::NotPermitted { .. })));
}

#[test]
fn what_names_a_later_configuration_waits_and_what_names_an_earlier_one_is_judged_at_its_turn() {
    let mut ordering = opened(&Genesis::free().block());
    let under = |sequence| Command::Envelopes { channel: bftch(), sequence, envelopes: vec![envelope(1)] };
    let ahead = Err(Objection::Ahead { channel: bftch(), sequence: 1 });
    assert_eq!(judge_one(under(1), &ordering, Verification::Full), ahead);
    let elsewhere = Command::Envelopes {
        channel: channel("other"),
        sequence: 0,
        envelopes: vec![envelope_of(&channel("other"), 3, 1, 1)],
    };
    let unknown = Err(Objection::Ahead { channel: channel("other"), sequence: 0 });
    assert_eq!(judge_one(elsewhere, &ordering, Verification::Full), unknown);

    let first = ordering.configurations()[&bftch()].clone();
    order_config(&mut ordering, 0, next_config(&first, 2));
    for sequence in [0, 1] {
        assert_eq!(judge_one(under(sequence), &ordering, Verification::Full), Ok(()));
    }
}

#[test]
fn a_config_that_is_not_what_its_update_leads_to_is_not_taken_in() {
    let ordering = opened(&Genesis::free().block());
    let config = ordering.configurations()[&bftch()].clone();
    let right = next_config(&config, 2);
    let command = |envelope| Command::Config { channel: bftch(), sequence: 0, envelope };
    for verification in [Verification::Full, Verification::Frontends] {
        assert_eq!(judge_one(command(right.clone()), &ordering, verification), Ok(()));
        let bent = bend(&right, 2, 3);
        let refused = judge_one(command(bent), &ordering, verification);
        assert!(
            matches!(refused, Err(Objection::NotPermitted { reject: EnvelopeReject::Config(_), .. })),
            "{refused:?}"
        );
    }
    assert!(matches!(judge_one(command(envelope(1)), &ordering, Verification::Full), Err(Objection::Form(_))));
    let among_others = Command::Envelopes { channel: bftch(), sequence: 0, envelopes: vec![envelope(1), right] };
    assert!(matches!(judge_one(among_others, &ordering, Verification::Full), Err(Objection::Form(_))));
}
