//! How many block signatures a machine makes in a second (thesis, figure 6.12).
//!
//! Each signature is what a node does for a block: the hash of the block's data, the bytes of its header, the preimage with the
//! metadata's value and the signer's header, and Fabric's ECDSA over P-256 and SHA-256, by the code that a node signs with.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use fabric_proto::common::{BlockData, BlockHeader};
use fabric_proto::metadata::{SignerHeader, metadata_value, signature_preimage};
use frontend_shim::signing::SigningKey;

/// Signatures per second of so many threads together, each over a block of `block_envelopes` envelopes of `envelope_bytes`.
///
/// # Errors
/// A key cannot be made, or a thread fails.
pub(super) fn signatures_per_s(
    threads: usize,
    block_envelopes: usize,
    envelope_bytes: usize,
    duration: Duration,
) -> anyhow::Result<f64> {
    let stop = AtomicBool::new(false);
    let since = Instant::now();
    let made: u64 = thread::scope(|scope| {
        let sign = || sign_until(&stop, block_envelopes, envelope_bytes);
        let signers: Vec<_> = (0..threads).map(|_| scope.spawn(sign)).collect();
        thread::sleep(duration);
        stop.store(true, Relaxed);
        let joined = signers.into_iter().map(|signer| signer.join().map_err(|_| anyhow!("a signer has failed"))?);
        joined.sum::<anyhow::Result<u64>>()
    })?;
    Ok(made as f64 / since.elapsed().as_secs_f64())
}

/// How many signatures one thread makes until it is told to stop.
fn sign_until(stop: &AtomicBool, block_envelopes: usize, envelope_bytes: usize) -> anyhow::Result<u64> {
    let pem = rcgen::KeyPair::generate().context("no key")?.serialize_pem();
    let key = SigningKey::from_pem(pem.as_bytes())?;
    let data = BlockData { data: vec![Bytes::from(vec![7; envelope_bytes]); block_envelopes] };
    let value = metadata_value(0, Bytes::from_static(&[7; 40]));
    let mut number: u64 = 0;
    while !stop.load(Relaxed) {
        let header = BlockHeader {
            number,
            previous_hash: Bytes::from_static(&[7; 32]),
            data_hash: Bytes::copy_from_slice(&data.hash()),
        };
        let nonce = Bytes::copy_from_slice(&[number.to_be_bytes(); 3].concat());
        let signer = SignerHeader::from_identifier(1, nonce);
        black_box(key.sign(&signature_preimage(&value, &signer, &header.der())));
        number += 1;
    }
    Ok(number)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn larger_blocks_are_signed_less_often() {
        // The best of several times: another program can take any one of them.
        let once = |block, bytes| signatures_per_s(1, block, bytes, Duration::from_millis(50)).unwrap();
        let best = |block, bytes| (0..5).map(|_| once(block, bytes)).fold(0.0, f64::max);
        let (small, large) = (best(1, 40), best(1000, 4096));
        assert!(small > 0.0 && large < small / 2.0, "{small} and {large} signatures/s");
    }
}
