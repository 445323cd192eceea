//! A request: an envelope bundle or a command, as the protocol sees it. Origin, number, opaque bytes.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::codec::{CodecError, Reader, Writer};
use crate::id::{Digest, GroupId, RequestId};
use crate::seal::{Domain, Keyring, Reject, Seal, Sealed, Signature, Signer};

/// What a client asks to be ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Under which name.
    pub id: RequestId,
    /// What the application will be given. An empty body asks for nothing: it closes a gap in a session.
    pub body: Bytes,
}

impl Request {
    /// Identifies id and body together. Two bodies under one id have two digests.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut writer = Writer::with_capacity(64);
        writer.request_id(self.id);
        let mut hash = Sha256::new();
        hash.update(b"mod-smart request 1");
        hash.update(writer.finish());
        hash.update(&self.body);
        Digest(hash.finalize().into())
    }

    /// Seals the request with its client's key.
    #[must_use]
    pub fn seal(self, group: GroupId, signer: &dyn Signer) -> Sealed<Self> {
        let digest = self.digest();
        let signature = signer.sign(&preimage(group, digest));
        let mut writer = Writer::with_capacity(self.body.len() + 128);
        writer.request_id(self.id);
        writer.raw(&signature.0);
        writer.bytes(&self.body);
        Sealed::assemble(self, Seal::Request { digest }, writer.finish())
    }
}

impl Sealed<Request> {
    /// Checks a request that arrived as bytes: form, size and the client's signature.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(bytes: Bytes, group: GroupId, keyring: &dyn Keyring) -> Result<Self, Reject> {
        let (request, signature) = parse(bytes.clone())?;
        let digest = request.digest();
        if !keyring.verify_client(request.id.client, &preimage(group, digest), &signature) {
            return Err(Reject::Signature);
        }
        Ok(Self::assemble(request, Seal::Request { digest }, bytes))
    }

    /// Reads a request whose digest something stronger than its seal vouches for: our own journal, or a decision with
    /// its proof.
    ///
    /// # Errors
    /// The bytes are not a request.
    pub fn trusted(bytes: Bytes) -> Result<Self, CodecError> {
        let (request, _) = parse(bytes.clone())?;
        let digest = request.digest();
        Ok(Self::assemble(request, Seal::Request { digest }, bytes))
    }

    /// The digest of the request, computed once.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self.seal() {
            Seal::Request { digest } => *digest,
            Seal::Link { .. } => self.value().digest(),
        }
    }
}

fn parse(bytes: Bytes) -> Result<(Request, Signature), CodecError> {
    let mut reader = Reader::new(bytes);
    let id = reader.request_id()?;
    let signature = Signature(reader.array()?);
    let body = reader.bytes()?;
    reader.finish()?;
    Ok((Request { id, body }, signature))
}

fn preimage(group: GroupId, digest: Digest) -> Vec<u8> {
    Domain::Request.preimage(group, &[&digest.0])
}
