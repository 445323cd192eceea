//! Configuration updates: what a frontend is sent, and what a replica is asked to vote for.

use std::sync::LazyLock;

use bytes::Bytes;
use fabric_channel::config_transaction::{self, EnvelopeSigner, SignError};
use fabric_channel::update::{propose, validate};
use fabric_channel::{
    Bundle, ChannelConfig, ConfigChange, ConfigContent, ExpiryCheck, consenter_set, filters, serialise,
};
use fabric_proto::common::{
    ChannelHeader, ConfigSignature, ConfigUpdateEnvelope, Header, HeaderType, Payload, SignatureHeader,
};
use fabric_proto::low_s::{Curve, to_low_s};
use fabric_proto::{Envelope, canonical};
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer as _;
use p256::pkcs8::DecodePrivateKey as _;
use prost::Message;

use crate::configs::{BASES, Base};
use crate::outcome::Outcome;
use crate::target::{Heap, Seed, Target};

pub const UPDATE: Target = Target {
    name: "config_update",
    about: "an update against configurations of the corpus: one result on two machines, and peers accept what we accept",
    run: update,
    seeds: || envelopes().map(|(name, input)| Seed::new(name, input.encode_to_vec())).collect(),
    heap: HEAP,
    test_runs: 600,
};

pub const SIGNED: Target = Target {
    name: "config_update_signed",
    about: "an update that administrators sign after it was mutated: nobody's signature reaches beyond his policies",
    run: signed,
    seeds: || {
        let inputs = envelopes().filter_map(|(name, input)| Some((name, signed_input(&input)?)));
        inputs.map(|(name, input)| judged(signed, name, input)).collect()
    },
    heap: HEAP,
    test_runs: 600,
};

pub const TRANSACTION: Target = Target {
    name: "config_transaction",
    about: "a CONFIG envelope before a vote: only the very bytes that its own update leads to",
    run: transaction,
    seeds: || transactions().into_iter().map(|(name, input)| Seed::new(name, input.encode_to_vec())).collect(),
    heap: HEAP,
    test_runs: 600,
};

pub const FILTERS: Target = Target {
    name: "filters",
    about: "any envelope at the door: the clock only ever refuses more, and an unsigned one never passes real policies",
    run: filter,
    seeds: filter_seeds,
    heap: HEAP,
    test_runs: 2_000,
};

/// An envelope, and the configuration it meets.
#[derive(Clone, PartialEq, Message)]
struct Input {
    #[prost(uint32, tag = "1")]
    base: u32,
    #[prost(bytes = "bytes", tag = "2")]
    envelope: Bytes,
}

/// An update, the configuration it meets, and who signs: a bit for each administrator.
#[derive(Clone, PartialEq, Message)]
struct SignedInput {
    #[prost(uint32, tag = "1")]
    base: u32,
    #[prost(bytes = "bytes", tag = "2")]
    config_update: Bytes,
    #[prost(uint32, tag = "3")]
    signers: u32,
}

fn base(number: u32) -> &'static Base {
    &BASES[number as usize % BASES.len()]
}

fn update(input: &[u8]) -> Outcome {
    let Ok(Input { base: number, envelope }) = Input::decode(input) else {
        return Outcome::refused("no input");
    };
    let base = base(number);
    match Envelope::decode(envelope) {
        // What real policies refuse, free ones may let pass, so that most of the work lies behind the first verdict.
        Ok(envelope) => {
            base.orderable.iter().for_each(|current| check_wrapped(current, &envelope));
            judge(&base.real, &base.twin, &envelope).and(&judge(&base.free, &base.free, &envelope))
        }
        Err(error) => Outcome::refused(error),
    }
}

/// Everything that has to hold of the verdict about an update.
fn judge(current: &Bundle, twin: &Bundle, envelope: &Envelope) -> Outcome {
    let change = ConfigChange::evaluate(current, envelope, ExpiryCheck::Skip);
    let proposed = match propose(current, envelope) {
        Ok(proposed) => proposed,
        Err(error) => {
            assert_eq!(propose(twin, envelope).err().as_ref(), Some(&error), "another reason on another machine");
            assert!(change.is_err(), "an orderer accepts what peers refuse");
            return Outcome::refused(format_args!("{}: {error}", error.step()));
        }
    };
    let bytes = Bytes::from(proposed.to_content().encode());
    let again = propose(twin, envelope).expect("refused by another machine");
    assert_eq!(again.to_content().encode(), bytes, "other bytes on another machine");
    let content = ConfigContent::decode(&bytes).expect("our own encoding");
    assert_eq!(content, proposed.to_content(), "lost in our own encoding");
    assert_eq!(validate(twin, &content), Ok(()), "peers refuse what we accept");
    match change {
        Ok(change) => {
            assert_eq!(change.next().tree(), proposed.config());
            let recomputed = ConfigChange::recompute(twin, &bytes).expect("not recomputed");
            assert_eq!(recomputed.proposed().to_content().encode(), bytes);
            let orderable = change.check_orderable().map(|next| {
                assert_eq!(next.sequence(), current.sequence().wrapping_add(1));
                "orderable"
            });
            Outcome::accepted(Outcome::from(orderable))
        }
        Err(error) => Outcome::refused(error),
    }
}

/// What a frontend makes of an update that it takes, every replica votes for, and of no other.
fn check_wrapped(current: &ChannelConfig, envelope: &Envelope) {
    let Ok(change) = ConfigChange::evaluate(current.bundle(), envelope, ExpiryCheck::Skip) else { return };
    let wrapped = config_transaction::wrap(&change, &ADMINISTRATORS[2], [5; 24], NOW_UNIX_S).expect("a key that signs");
    let wrapped = Envelope::decode(wrapped).expect("our own envelope");
    let orderable = change.check_orderable().ok();
    let is_taken = orderable.is_some_and(|next| consenter_set::check(current, &next).is_ok());
    let verdict = config_transaction::verify(current, &wrapped);
    assert_eq!(verdict.is_ok(), is_taken, "{:?}", verdict.err());
}

fn signed(input: &[u8]) -> Outcome {
    let Ok(SignedInput { base: number, config_update, signers }) = SignedInput::decode(input) else {
        return Outcome::refused("no input");
    };
    let base = base(number);
    let chosen = (0..).zip(ADMINISTRATORS.iter()).filter(|(at, _)| signers >> at & 1 == 1);
    let signatures = chosen.map(|(_, administrator)| administrator.signature(&config_update)).collect();
    let signed = ConfigUpdateEnvelope { config_update, signatures };
    let Ok(envelope) = Envelope::decode(update_envelope(&signed)) else {
        return Outcome::refused("no envelope");
    };
    let outcome = judge(&base.real, &base.twin, &envelope);
    if propose(&base.real, &envelope).is_ok() {
        // Who signed more may do more, in these channels.
        let all = ADMINISTRATORS.iter().map(|administrator| administrator.signature(&signed.config_update)).collect();
        let all = ConfigUpdateEnvelope { signatures: all, ..signed };
        let by_all = Envelope::decode(update_envelope(&all)).expect("our own envelope");
        assert!(propose(&base.real, &by_all).is_ok(), "more signatures are worth less");
        assert!(propose(&base.free, &envelope).is_ok(), "free policies ask for more");
    }
    outcome
}

fn transaction(input: &[u8]) -> Outcome {
    let Ok(Input { base: number, envelope }) = Input::decode(input) else {
        return Outcome::refused("no input");
    };
    let Some(current) = &base(number).orderable else {
        return Outcome::refused("a configuration that is not ordered");
    };
    let envelope = match Envelope::decode(envelope) {
        Ok(envelope) => envelope,
        Err(error) => return Outcome::refused(error),
    };
    match config_transaction::verify(current, &envelope) {
        Ok(next) => {
            let content = ConfigContent::decode(envelope.data()).expect("it was verified");
            assert_eq!(validate(current.bundle(), &content), Ok(()), "peers stop at what we vote for");
            assert_eq!(content.encode(), envelope.data()[..]);
            assert_eq!(content.config.as_ref(), Some(next.bundle().tree()));
            assert_eq!(envelope.check_canonical(), Ok(()));
            assert!(config_transaction::verify(&next, &envelope).is_err(), "one transaction counts twice");
            Outcome::accepted("a CONFIG envelope")
        }
        Err(error) => Outcome::refused(error),
    }
}

fn filter(input: &[u8]) -> Outcome {
    let Ok(Input { base: number, envelope }) = Input::decode(input) else {
        return Outcome::refused("no input");
    };
    let (Some(free), Ok(envelope)) = (&base(number).orderable, Envelope::decode(envelope)) else {
        return Outcome::refused("nothing to judge");
    };
    let real = real_config(number).expect("the free one can be ordered");
    let timeless = filters::check(real, &envelope, None);
    for now in [0, NOW_UNIX_S, i64::MAX] {
        let timed = filters::check(real, &envelope, Some(now));
        assert!(timed.is_err() || timeless.is_ok(), "a clock lets in what nobody else does");
        assert!(timeless.is_err() || timed.is_ok() || timed == Err(filters::FilterReject::Expired));
    }
    assert!(timeless.is_err() || filters::check(free, &envelope, None).is_ok(), "free policies ask for more");
    assert!(timeless.is_err() || !envelope.signature().is_empty(), "an unsigned envelope passes");
    Outcome::from(timeless.map(|()| "a writer's"))
}

/// The real configuration that belongs to an orderable base.
fn real_config(number: u32) -> Option<&'static ChannelConfig> {
    static REAL: LazyLock<Vec<Option<ChannelConfig>>> =
        LazyLock::new(|| BASES.iter().map(|base| ChannelConfig::from_bundle(base.real.clone()).ok()).collect());
    REAL[number as usize % REAL.len()].as_ref()
}

/// Who signs mutated updates.
struct Administrator {
    creator: Bytes,
    key: SigningKey,
}

static ADMINISTRATORS: LazyLock<[Administrator; 3]> = LazyLock::new(|| {
    let read = |msp_id, certificate: &[u8], key: &str| Administrator {
        creator: serialise(msp_id, certificate),
        key: SigningKey::from_pkcs8_pem(key).expect("a key in PKCS#8"),
    };
    [
        read(
            "Org1MSP",
            include_bytes!("../../data/keys/Org1.admin.pem"),
            include_str!("../../data/keys/Org1.admin.key.pem"),
        ),
        read(
            "Org2MSP",
            include_bytes!("../../data/keys/Org2.admin.pem"),
            include_str!("../../data/keys/Org2.admin.key.pem"),
        ),
        read(
            "Ord1MSP",
            include_bytes!("../../data/keys/Ord1.admin.pem"),
            include_str!("../../data/keys/Ord1.admin.key.pem"),
        ),
    ]
});

impl Administrator {
    fn signature(&self, config_update: &[u8]) -> ConfigSignature {
        let header = SignatureHeader { creator: self.creator.clone(), nonce: Bytes::from_static(&[1; 24]) };
        let signature_header = Bytes::from(header.encode_to_vec());
        let signature = self.over(&[&signature_header[..], config_update].concat());
        ConfigSignature { signature_header, signature }
    }

    /// The same bytes for the same message, always.
    fn over(&self, message: &[u8]) -> Bytes {
        let signature: p256::ecdsa::Signature = self.key.sign(message);
        to_low_s(Curve::P256, signature.to_der().as_bytes()).expect("a signature").into()
    }
}

impl EnvelopeSigner for Administrator {
    fn creator(&self) -> Bytes {
        self.creator.clone()
    }

    fn sign(&self, payload: &[u8]) -> Result<Bytes, SignError> {
        Ok(self.over(payload))
    }
}

/// A CONFIG_UPDATE envelope whose own signature nobody asks for.
fn update_envelope(update: &ConfigUpdateEnvelope) -> Bytes {
    let header = ChannelHeader { r#type: HeaderType::ConfigUpdate.into(), ..ChannelHeader::default() };
    let header = Header { channel_header: header.encode_to_vec().into(), signature_header: Bytes::new() };
    let payload = Payload { header: Some(header), data: update.encode_to_vec().into() };
    canonical::encode(&payload.encode_to_vec(), b"unused")
}

/// Real updates that Fabric accepts, each with its configuration.
fn envelopes() -> impl Iterator<Item = (String, Input)> {
    (0..).zip(BASES.iter()).flat_map(|(number, base)| {
        let updates = base.updates.iter();
        updates.map(move |(name, envelope)| {
            (format!("{number}-{name}"), Input { base: number, envelope: envelope.clone().into() })
        })
    })
}

fn signed_input(input: &Input) -> Option<Vec<u8>> {
    let envelope = Envelope::decode(input.envelope.clone()).ok()?;
    let update = ConfigUpdateEnvelope::decode(envelope.data().clone()).ok()?;
    let signed = SignedInput { base: input.base, config_update: update.config_update, signers: u32::MAX };
    Some(signed.encode_to_vec())
}

/// What a frontend makes of an update of some bases that can be ordered.
fn transactions() -> Vec<(String, Input)> {
    let mut found = Vec::new();
    for (number, base) in (0..).zip(BASES.iter()).skip(1).step_by(3) {
        let Some(current) = &base.orderable else { continue };
        let wrapped = base.updates.iter().filter_map(|(name, envelope)| {
            let envelope = Envelope::decode(envelope.clone().into()).ok()?;
            let change = ConfigChange::evaluate(current.bundle(), &envelope, ExpiryCheck::Skip).ok()?;
            let wrapped = config_transaction::wrap(&change, &ADMINISTRATORS[2], [5; 24], NOW_UNIX_S).ok()?;
            let verdict = config_transaction::verify(current, &Envelope::decode(wrapped.clone()).ok()?);
            verdict.is_ok().then(|| (format!("{number}-{name}"), Input { base: number, envelope: wrapped }))
        });
        found.extend(wrapped.take(1));
    }
    found
}

fn filter_seeds() -> Vec<Seed> {
    let orderable = |number: u32| base(number).orderable.is_some();
    let updates = envelopes().filter(|(_, input)| orderable(input.base)).step_by(7);
    updates.map(|(name, input)| judged(filter, name, input.encode_to_vec())).collect()
}

/// Fabric accepts them all; whether this target does depends on who signed what.
fn judged(target: fn(&[u8]) -> Outcome, name: String, input: Vec<u8>) -> Seed {
    if target(&input).is_accepted() { Seed::new(name, input) } else { Seed::case(name, input) }
}

const HEAP: Heap = Heap { base: 8 << 20, per_byte: 512 };
/// When the corpus was made, nearly: August 2026.
const NOW_UNIX_S: i64 = 1_786_000_000;
