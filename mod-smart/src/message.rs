//! What replicas say to each other, and its bytes.
//!
//! Votes are signed, because a certificate must convince a third party. Everything else is authenticated by the link it
//! comes over: nobody but its receiver needs to believe it.

use bytes::Bytes;

use crate::certificate::{Proof, SignedVote, Vote};
use crate::codec::{CodecError, Reader, Writer};
use crate::id::{Digest, Epoch, InstanceId, Regency, ReplicaId, RequestId};
use crate::limits::{BATCH_REQUESTS_MAX, DECISIONS_PER_MESSAGE_MAX};
use crate::quorum::View;
use crate::request::Request;
use crate::seal::{Keyring, Reject, Seal, Sealed, Signature};

/// A message between replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Leader to all: the batch for an instance.
    Propose(Propose),
    /// All to all: WRITE or ACCEPT.
    Vote(SignedVote),
    /// Where the sender stands. The receiver re-sends what the sender lacks.
    Status(Status),
    /// "I lack the bodies of these requests."
    FetchBodies(Vec<Digest>),
    /// Bodies that were asked for, each under its client's seal.
    Bodies(Vec<Sealed<Request>>),
    /// "These requests wait too long here: take those that you lack." The first expiry of a request's timer (Alg. 1
    /// line 21); what the receiver lacks it fetches.
    Offer(Vec<(RequestId, Digest)>),
    /// "Send me the decisions from this instance on."
    FetchDecisions(InstanceId),
    /// Decisions with their proofs, in instance order.
    Decisions(Vec<DecidedBatch>),
}

/// PROPOSE (Alg. 5 line 3): digests, because frontends sent the bodies to everyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Propose {
    /// The instance the batch is for.
    pub instance: InstanceId,
    /// The epoch, equal to the regency of the leader.
    pub epoch: Epoch,
    /// The requests of the batch, in order.
    pub requests: Vec<Digest>,
}

impl Propose {
    /// What WRITE and ACCEPT will carry.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_batch(&self.requests)
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.u64(self.instance.0);
        writer.u64(self.epoch.0);
        encode_digests(writer, &self.requests);
    }

    pub(crate) fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        Ok(Self { instance: reader.instance()?, epoch: reader.epoch()?, requests: decode_digests(reader)? })
    }
}

/// Where a replica stands: sent on connection and on a slow timer, because links are not perfect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The regency the sender is in.
    pub regency: Regency,
    /// The last instance it has delivered.
    pub delivered: InstanceId,
    /// Does it hold the PROPOSE of the instance after that?
    pub proposed: bool,
}

/// A decided batch as one replica gives it to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedBatch {
    /// Quorum of ACCEPTs.
    pub proof: Proof,
    /// The requests, in order.
    pub requests: Vec<Sealed<Request>>,
}

impl Message {
    /// The bytes of this message.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(160);
        match self {
            Self::Propose(propose) => {
                writer.u8(1);
                propose.encode(&mut writer);
            }
            Self::Vote(signed) => {
                writer.u8(2);
                signed.vote.encode(&mut writer);
                writer.u16(signed.voter.0);
                writer.raw(&signed.signature.0);
            }
            Self::Status(status) => {
                writer.u8(3);
                writer.u64(status.regency.0);
                writer.u64(status.delivered.0);
                writer.u8(u8::from(status.proposed));
            }
            Self::FetchBodies(digests) => {
                writer.u8(4);
                encode_digests(&mut writer, digests);
            }
            Self::Bodies(requests) => {
                writer.u8(5);
                encode_requests(&mut writer, requests);
            }
            Self::Offer(requests) => {
                writer.u8(8);
                writer.count(requests.len());
                for (id, digest) in requests {
                    writer.request_id(*id);
                    writer.raw(&digest.0);
                }
            }
            Self::FetchDecisions(from) => {
                writer.u8(6);
                writer.u64(from.0);
            }
            Self::Decisions(decisions) => {
                writer.u8(7);
                writer.count(decisions.len());
                for decision in decisions {
                    decision.proof.encode(&mut writer);
                    encode_requests(&mut writer, &decision.requests);
                }
            }
        }
        writer.finish()
    }

    /// The message as our own, for the path to ourselves: leader and followers share one.
    #[must_use]
    pub fn loop_back(self, me: ReplicaId) -> Sealed<Self> {
        let bytes = self.encode();
        Sealed::assemble(self, Seal::Link { sender: me }, bytes)
    }
}

impl Sealed<Message> {
    /// Checks a message that came over the authenticated link from `sender`: form, limits, and every signature in it.
    /// Costs up to a quorum of signature checks per decision, so the shell calls it in its verify pool.
    ///
    /// # Errors
    /// What is wrong with it; nothing of it may be used then.
    pub fn open(bytes: Bytes, sender: ReplicaId, view: &View, keyring: &dyn Keyring) -> Result<Self, Reject> {
        if !view.has(sender) {
            return Err(Reject::Sender);
        }
        let message = decode(bytes.clone(), view, keyring)?;
        check(&message, sender, view, keyring)?;
        Ok(Self::assemble(message, Seal::Link { sender }, bytes))
    }

    /// The replica at the other end of the link.
    #[must_use]
    pub fn sender(&self) -> ReplicaId {
        match self.seal() {
            Seal::Link { sender } => *sender,
            Seal::Request { .. } => unreachable!("messages are assembled with link seals only"),
        }
    }
}

fn decode(bytes: Bytes, view: &View, keyring: &dyn Keyring) -> Result<Message, Reject> {
    let mut reader = Reader::new(bytes);
    let message = match reader.u8()? {
        1 => Message::Propose(Propose::decode(&mut reader)?),
        2 => {
            let vote = Vote::decode(&mut reader)?;
            Message::Vote(SignedVote { vote, voter: reader.replica()?, signature: Signature(reader.array()?) })
        }
        3 => {
            let (regency, delivered) = (reader.regency()?, reader.instance()?);
            let proposed = match reader.u8()? {
                0 => false,
                1 => true,
                tag => return Err(CodecError::Tag(tag).into()),
            };
            Message::Status(Status { regency, delivered, proposed })
        }
        4 => Message::FetchBodies(decode_digests(&mut reader)?),
        5 => {
            let bodies = reader.list(BATCH_REQUESTS_MAX, 4, Reader::bytes)?;
            Message::Bodies(open_bodies(bodies, view, keyring)?)
        }
        6 => Message::FetchDecisions(reader.instance()?),
        7 => Message::Decisions(reader.list(DECISIONS_PER_MESSAGE_MAX, 60, decode_decision)?),
        8 => {
            Message::Offer(reader.list(BATCH_REQUESTS_MAX, 51, |reader| Ok((reader.request_id()?, reader.digest()?)))?)
        }
        tag => return Err(CodecError::Tag(tag).into()),
    };
    reader.finish()?;
    Ok(message)
}

/// A body whose client is not known here, or did not seal it, is left out: the sender may know a client that we do not.
fn open_bodies(bodies: Vec<Bytes>, view: &View, keyring: &dyn Keyring) -> Result<Vec<Sealed<Request>>, Reject> {
    let opened = bodies.into_iter().map(|bytes| Sealed::<Request>::open(bytes, view.group(), keyring));
    opened.filter(|opened| !matches!(opened, Err(Reject::Signature))).collect()
}

/// The proof vouches for the digests, so the clients' own seals need no second check.
fn decode_decision(reader: &mut Reader) -> Result<DecidedBatch, CodecError> {
    let proof = Proof::decode(reader)?;
    let bodies = reader.list(BATCH_REQUESTS_MAX, 4, Reader::bytes)?;
    let requests = bodies.into_iter().map(Sealed::<Request>::trusted).collect::<Result<_, _>>()?;
    Ok(DecidedBatch { proof, requests })
}

fn check(message: &Message, sender: ReplicaId, view: &View, keyring: &dyn Keyring) -> Result<(), Reject> {
    match message {
        Message::Vote(signed) if signed.voter != sender => Err(Reject::Sender),
        Message::Vote(signed) => signed.verify(view, keyring),
        Message::Decisions(decisions) => decisions.iter().try_for_each(|decision| decision.verify(view, keyring)),
        _ => Ok(()),
    }
}

impl DecidedBatch {
    /// Does a quorum of ACCEPTs stand behind exactly these requests?
    ///
    /// # Errors
    /// The proof does not verify, or names another batch.
    pub fn verify(&self, view: &View, keyring: &dyn Keyring) -> Result<(), Reject> {
        let digests: Vec<Digest> = self.requests.iter().map(Sealed::<Request>::digest).collect();
        if Digest::of_batch(&digests) != self.proof.digest() {
            return Err(Reject::Decision);
        }
        self.proof.verify(view, keyring)
    }
}

fn encode_digests(writer: &mut Writer, digests: &[Digest]) {
    writer.count(digests.len());
    for digest in digests {
        writer.raw(&digest.0);
    }
}

pub(crate) fn decode_digests(reader: &mut Reader) -> Result<Vec<Digest>, CodecError> {
    reader.list(BATCH_REQUESTS_MAX, 32, Reader::digest)
}

fn encode_requests(writer: &mut Writer, requests: &[Sealed<Request>]) {
    writer.count(requests.len());
    for request in requests {
        writer.bytes(request.bytes());
    }
}
