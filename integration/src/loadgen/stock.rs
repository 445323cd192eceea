//! Envelopes made beforehand, so that making them costs nothing while the load runs.
//!
//! When they run out, further ones are made where they are needed, and counted: that costs processor time which the
//! orderer could have had.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::Context as _;
use bytes::Bytes;
use fabric_proto::common::{Envelope, Header, Payload, SignatureHeader};
use orderer_node::client::EnvelopeFactory;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::key::Key;
use super::limits::PREPARED_BYTES_MAX;
use super::plan::Signatures;

/// Envelopes of one channel to be sent, no two of them equal.
#[derive(Debug)]
pub(super) struct Stock {
    maker: Maker,
    ready: Mutex<VecDeque<(Key, Bytes)>>,
    made_late: AtomicU64,
    /// Bytes of an envelope, on average over those made beforehand.
    pub(super) envelope_bytes: f64,
    /// How many were made beforehand.
    pub(super) prepared: u64,
}

/// Makes envelopes of type ENDORSER_TRANSACTION.
#[derive(Clone, Debug)]
pub(super) enum Maker {
    /// Each with a signature of its own.
    Signing {
        /// Signs.
        factory: EnvelopeFactory,
        /// Bytes of the payload's data.
        data_bytes: usize,
    },
    /// Each with the same signature, which fits none but the first.
    Stamping(Stamp),
}

/// An envelope of which nonce and transaction id can be replaced. Both have the same length in every envelope.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    template: Vec<u8>,
    creator: Bytes,
    nonce_at: usize,
    tx_id_at: usize,
}

impl Stock {
    /// Makes `count` envelopes, or as many as fit into its part of the memory set aside for them if there are so many stocks,
    /// on all processors; tells `on_made` of each.
    pub(super) fn prepare(maker: Maker, count: u64, stocks: usize, on_made: impl Fn() + Sync) -> Self {
        let count = fitting(count, maker.make().1.len() * stocks.max(1));
        let makers = thread::available_parallelism().map_or(1, usize::from);
        let mut ready = VecDeque::with_capacity(count);
        thread::scope(|scope| {
            let make = |share: usize| {
                let (maker, on_made) = (&maker, &on_made);
                let make = move || (0..share).map(|_| maker.make()).inspect(|_| on_made()).collect::<Vec<_>>();
                scope.spawn(make)
            };
            let shares = (0..makers).map(|index| count / makers + usize::from(index < count % makers));
            for made in shares.map(make).collect::<Vec<_>>() {
                ready.extend(made.join().expect("nothing in a maker panics while there is randomness"));
            }
        });
        let bytes: usize = ready.iter().map(|(_, envelope)| envelope.len()).sum();
        Self {
            maker,
            made_late: AtomicU64::new(0),
            envelope_bytes: bytes as f64 / ready.len().max(1) as f64,
            prepared: ready.len() as u64,
            ready: Mutex::new(ready),
        }
    }

    /// One that was made beforehand, or else one that is made now.
    pub(super) fn take(&self) -> (Key, Bytes) {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        ready.unwrap_or_else(|| {
            self.made_late.fetch_add(1, Relaxed);
            self.maker.make()
        })
    }

    /// How many were made when they were needed.
    pub(super) fn made_late(&self) -> u64 {
        self.made_late.load(Relaxed)
    }
}

impl Maker {
    /// Makes envelopes around so many bytes of data.
    ///
    /// # Errors
    /// What the factory makes cannot be taken apart.
    pub(super) fn new(factory: EnvelopeFactory, data_bytes: usize, signatures: Signatures) -> anyhow::Result<Self> {
        match signatures {
            Signatures::Fresh => Ok(Self::Signing { factory, data_bytes }),
            Signatures::Reused => Ok(Self::Stamping(Stamp::new(&factory.transaction_of_size(data_bytes))?)),
        }
    }

    /// An envelope, and what it is recognised by.
    pub(super) fn make(&self) -> (Key, Bytes) {
        let envelope = match self {
            Self::Signing { factory, data_bytes } => factory.transaction_of_size(*data_bytes),
            Self::Stamping(stamp) => stamp.make(),
        };
        (Key::of(&envelope), envelope)
    }
}

impl Stamp {
    fn new(template: &Bytes) -> anyhow::Result<Self> {
        let payload = Payload::decode(Envelope::decode(template.clone())?.payload)?;
        let Header { signature_header, .. } = payload.header.context("an envelope without a header")?;
        let SignatureHeader { creator, nonce } = SignatureHeader::decode(signature_header)?;
        let tx_id = transaction_id(&nonce, &creator);
        let place_of = |part: &[u8]| template.windows(part.len().max(1)).position(|window| window == part);
        Ok(Self {
            nonce_at: place_of(&nonce).context("an envelope without its nonce")?,
            tx_id_at: place_of(tx_id.as_bytes()).context("an envelope without its transaction id")?,
            template: template.to_vec(),
            creator,
        })
    }

    fn make(&self) -> Bytes {
        let mut nonce = [0; NONCE_BYTES];
        aws_lc_rs::rand::fill(&mut nonce).expect("a system without randomness cannot sign either");
        let tx_id = transaction_id(&nonce, &self.creator);
        let mut envelope = self.template.clone();
        envelope[self.nonce_at..][..NONCE_BYTES].copy_from_slice(&nonce);
        envelope[self.tx_id_at..][..tx_id.len()].copy_from_slice(tx_id.as_bytes());
        envelope.into()
    }
}

/// So many of `count` as there is memory for, and at least one.
fn fitting(count: u64, envelope_bytes: usize) -> usize {
    let fit = (PREPARED_BYTES_MAX / envelope_bytes.max(1)).max(1);
    usize::try_from(count).unwrap_or(usize::MAX).clamp(1, fit)
}

/// As every client derives it.
fn transaction_id(nonce: &[u8], creator: &[u8]) -> String {
    hex::encode(Sha256::new().chain_update(nonce).chain_update(creator).finalize())
}

const NONCE_BYTES: usize = 24;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use fabric_proto::common::{ChannelHeader, HeaderType};

    use super::*;
    use crate::material;

    fn maker(data_bytes: usize, signatures: Signatures) -> Maker {
        Maker::new(material::user("testchannel").unwrap(), data_bytes, signatures).unwrap()
    }

    /// Payload and signature of an envelope.
    fn open(envelope: &Bytes) -> (Payload, Bytes) {
        let envelope = Envelope::decode(envelope.clone()).unwrap();
        (Payload::decode(envelope.payload).unwrap(), envelope.signature)
    }

    #[test]
    fn the_stock_is_used_up_before_more_are_made() {
        let stock = Stock::prepare(maker(200, Signatures::Fresh), 5, 1, || {});
        assert_eq!(stock.prepared, 5);
        let taken: HashSet<_> = (0..8).map(|_| stock.take().0).collect();
        assert_eq!((taken.len(), stock.made_late()), (8, 3));
    }

    #[test]
    fn the_stock_fits_into_its_memory() {
        assert_eq!(fitting(1000, 1200), 1000);
        assert_eq!(fitting(u64::MAX, PREPARED_BYTES_MAX / 3), 3);
        assert_eq!((fitting(0, 1200), fitting(5, PREPARED_BYTES_MAX * 2)), (1, 1));
    }

    #[test]
    fn the_size_is_that_of_the_data() {
        for signatures in [Signatures::Fresh, Signatures::Reused] {
            for data_bytes in [0, 200, 4096] {
                let stock = Stock::prepare(maker(data_bytes, signatures), 1, 1, || {});
                let (payload, _) = open(&stock.take().1);
                assert_eq!(payload.data.len(), data_bytes);
                assert!(stock.envelope_bytes > data_bytes as f64 + 500.0, "headers, identity and signature");
            }
        }
    }

    #[test]
    fn a_stamped_envelope_is_another_transaction_with_the_same_signature() {
        let maker = maker(200, Signatures::Reused);
        let (one, other) = (maker.make(), maker.make());
        assert!(one.0 != other.0 && one.1.len() == other.1.len());
        let ((first, first_signature), (second, second_signature)) = (open(&one.1), open(&other.1));
        assert_eq!(first_signature, second_signature);
        for payload in [&first, &second] {
            let header = payload.header.clone().unwrap();
            let channel = ChannelHeader::decode(header.channel_header).unwrap();
            let signer = SignatureHeader::decode(header.signature_header).unwrap();
            assert_eq!(channel.r#type, i32::from(HeaderType::EndorserTransaction));
            assert_eq!(channel.tx_id, transaction_id(&signer.nonce, &signer.creator));
        }
        assert_ne!(first.header, second.header);
    }

    #[test]
    fn a_signed_envelope_has_a_signature_of_its_own() {
        let maker = maker(200, Signatures::Fresh);
        assert_ne!(open(&maker.make().1).1, open(&maker.make().1).1);
    }
}
