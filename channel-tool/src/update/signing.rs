//! `channel update sign` and `channel update wrap`.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use fabric_channel::authoring::SignedUpdate;
use fabric_proto::canonical;
use fabric_proto::common::SignatureHeader;
use prost::Message as _;

use crate::arguments::{SignArgs, WrapArgs};
use crate::msp_folder::SigningIdentity;
use crate::words::{self, line};
use crate::{files, time};

/// Adds one signature to each file.
pub(super) fn sign(arguments: &SignArgs, report: &mut String) -> anyhow::Result<()> {
    let signer = SigningIdentity::read(&arguments.signer.msp_dir, &arguments.signer.msp_id)?;
    for path in &arguments.files {
        let name = || path.display().to_string();
        let mut update = SignedUpdate::read(&files::read(path)?).with_context(name)?;
        if has_signed(&update, signer.creator()) {
            bail!("{}: {signer} has signed it already", name());
        }
        let header: Bytes = signature_header(&signer)?.encode_to_vec().into();
        let signature = signer.sign(&update.preimage(&header));
        update.add_signature(header, signature).with_context(name)?;
        files::write(path, &update.to_unsigned_envelope())?;
        line!(report, "{}: signed by {signer}, {} signatures now", name(), update.content().signatures.len());
    }
    Ok(())
}

fn has_signed(update: &SignedUpdate, creator: &Bytes) -> bool {
    update.content().signatures.iter().any(|entry| {
        SignatureHeader::decode(entry.signature_header.clone()).is_ok_and(|header| header.creator == creator)
    })
}

/// Makes the envelope that can be sent.
pub(super) fn wrap(arguments: &WrapArgs, report: &mut String) -> anyhow::Result<()> {
    let sender = SigningIdentity::read(&arguments.signer.msp_dir, &arguments.signer.msp_id)?;
    let name = || arguments.file.display().to_string();
    let update = SignedUpdate::read(&files::read(&arguments.file)?).with_context(name)?;
    let payload = update.to_payload(&signature_header(&sender)?, time::now_unix_s());
    let envelope = canonical::encode(&payload, &sender.sign(&payload));
    let out = arguments.out.as_deref().unwrap_or(&arguments.file);
    files::write(out, &envelope)?;
    let count = update.content().signatures.len();
    line!(report, "{}: {count} config signatures, sent by {sender}", out.display());
    for entry in &update.content().signatures {
        if let Ok(header) = SignatureHeader::decode(entry.signature_header.clone()) {
            line!(report, "  {}", words::identity(&header.creator));
        }
    }
    Ok(())
}

fn signature_header(signer: &SigningIdentity) -> anyhow::Result<SignatureHeader> {
    Ok(SignatureHeader { creator: signer.creator().clone(), nonce: nonce()? })
}

/// Random, so that no two signatures cover the same bytes.
fn nonce() -> anyhow::Result<Bytes> {
    use std::io::Read as _;
    let mut nonce = [0; NONCE_BYTES];
    let mut source = std::fs::File::open("/dev/urandom").context("the random numbers of the operating system")?;
    source.read_exact(&mut nonce).context("the random numbers of the operating system")?;
    if nonce == [0; NONCE_BYTES] {
        bail!("the operating system has no random numbers");
    }
    Ok(Bytes::copy_from_slice(&nonce))
}

const NONCE_BYTES: usize = 24;
