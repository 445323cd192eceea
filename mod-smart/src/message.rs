//! What replicas say to each other, and its bytes.
//!
//! Votes, STOPDATA and checkpoint votes are signed, because what they add up to must convince a third party. Everything
//! else is authenticated by the link it comes over: nobody but its receiver needs to believe it.

use bytes::Bytes;

use crate::certificate::{Proof, SignedVote, Vote};
use crate::checkpoint::{Manifest, SignedCheckpoint, StableCheckpoint};
use crate::codec::{CodecError, Reader, Writer};
use crate::id::{Digest, Epoch, InstanceId, Regency, ReplicaId, RequestId};
use crate::limits::{BATCH_REQUESTS_MAX, DECISIONS_PER_MESSAGE_MAX, STATE_CHUNK_BYTES};
use crate::quorum::View;
use crate::request::Request;
use crate::seal::{Keyring, Reject, Seal, Sealed, Signature};
use crate::synchronization::{Evidence, SignedStopData, Sync};

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
    /// STOP: "let us enter this regency, and leave every earlier one" (Alg. 3 line 2).
    Stop(Regency),
    /// STOPDATA, to the leader of the regency being entered (Alg. 3 line 11).
    StopData(SignedStopData),
    /// SYNC: a regency begins (Alg. 3 line 16). Whoever has it may show it to others.
    Sync(Sync),
    /// "I lack the batch of this instance with this digest."
    FetchBatch(InstanceId, Digest),
    /// The digests of the requests of a batch that was asked for.
    Batch(InstanceId, Vec<Digest>),
    /// "After this instance my state has this digest."
    Checkpoint(SignedCheckpoint),
    /// The decisions that were asked for are no longer kept: a stable checkpoint to go on from, and its manifest.
    Stable(StableCheckpoint, Manifest),
    /// "Send me this chunk of the checkpoint after this instance."
    FetchChunk(InstanceId, u32),
    /// A chunk that was asked for.
    Chunk(InstanceId, u32, Bytes),
    /// "My disk is empty: where does the group stand?" The number tells replies to this question from older ones.
    Probe(u64),
    /// The answer to a probe.
    ProbeReply(ProbeReply),
}

/// Where the group stands, for a replica whose disk is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeReply {
    /// The number of the probe.
    pub nonce: u64,
    /// Did the sender never vote, and never see a vote of anybody? Then the group has not begun.
    pub is_pristine: bool,
    /// Did the sender never hear the receiver say what it would have to remember? Only who forgot nothing itself says so.
    pub is_stranger: bool,
    /// The last instance the sender delivered.
    pub delivered: Evidence,
    /// The highest regency the sender entered or asked the others to enter.
    pub wants: Regency,
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
    pub is_proposed: bool,
    /// Has it seen the SYNC of its regency?
    pub is_synced: bool,
    /// The highest regency it asks the others to enter.
    pub wants: Regency,
    /// Does it stay silent until it knows what it may have signed before its disk was lost?
    pub is_silent: bool,
    /// How long a decision takes from its WRITE certificate on, as the sender sees it, in nanoseconds.
    pub accept_time: u64,
    /// The newest checkpoint that it knows to be stable.
    pub stable: InstanceId,
}

impl Status {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.regency.0);
        writer.u64(self.delivered.0);
        let flags = [self.is_proposed, self.is_synced, self.is_silent];
        writer.u8(flags.iter().enumerate().map(|(bit, flag)| u8::from(*flag) << bit).sum());
        writer.u64(self.wants.0);
        writer.u64(self.accept_time);
        writer.u64(self.stable.0);
    }

    fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        let (regency, delivered) = (reader.regency()?, reader.instance()?);
        let flags = reader.u8()?;
        if flags >= 8 {
            return Err(CodecError::Tag(flags));
        }
        let [is_proposed, is_synced, is_silent] = [0, 1, 2].map(|bit| flags & (1 << bit) != 0);
        let (wants, accept_time, stable) = (reader.regency()?, reader.u64()?, reader.instance()?);
        Ok(Self { regency, delivered, is_proposed, is_synced, wants, is_silent, accept_time, stable })
    }
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
                status.encode(&mut writer);
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
            Self::Stop(regency) => {
                writer.u8(9);
                writer.u64(regency.0);
            }
            Self::StopData(signed) => {
                writer.u8(10);
                signed.encode(&mut writer);
            }
            Self::Sync(sync) => {
                writer.u8(11);
                sync.encode(&mut writer);
            }
            Self::FetchBatch(instance, digest) => {
                writer.u8(12);
                writer.u64(instance.0);
                writer.raw(&digest.0);
            }
            Self::Batch(instance, requests) => {
                writer.u8(13);
                writer.u64(instance.0);
                encode_digests(&mut writer, requests);
            }
            Self::Checkpoint(signed) => {
                writer.u8(14);
                signed.encode(&mut writer);
            }
            Self::Stable(checkpoint, manifest) => {
                writer.u8(15);
                checkpoint.encode(&mut writer);
                manifest.encode(&mut writer);
            }
            Self::FetchChunk(instance, index) => {
                writer.u8(16);
                writer.u64(instance.0);
                writer.u32(*index);
            }
            Self::Chunk(instance, index, chunk) => {
                writer.u8(17);
                writer.u64(instance.0);
                writer.u32(*index);
                writer.bytes(chunk);
            }
            Self::Probe(nonce) => {
                writer.u8(18);
                writer.u64(*nonce);
            }
            Self::ProbeReply(reply) => {
                writer.u8(19);
                reply.encode(&mut writer);
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
        3 => Message::Status(Status::decode(&mut reader)?),
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
        tag @ 9..=13 => decode_synchronization(tag, &mut reader)?,
        tag => decode_transfer(tag, &mut reader)?,
    };
    reader.finish()?;
    Ok(message)
}

fn decode_synchronization(tag: u8, reader: &mut Reader) -> Result<Message, CodecError> {
    Ok(match tag {
        9 => Message::Stop(reader.regency()?),
        10 => Message::StopData(SignedStopData::decode(reader)?),
        11 => Message::Sync(Sync::decode(reader)?),
        12 => Message::FetchBatch(reader.instance()?, reader.digest()?),
        13 => Message::Batch(reader.instance()?, decode_digests(reader)?),
        tag => return Err(CodecError::Tag(tag)),
    })
}

fn decode_transfer(tag: u8, reader: &mut Reader) -> Result<Message, CodecError> {
    Ok(match tag {
        14 => Message::Checkpoint(SignedCheckpoint::decode(reader)?),
        15 => Message::Stable(StableCheckpoint::decode(reader)?, Manifest::decode(reader)?),
        16 => Message::FetchChunk(reader.instance()?, reader.u32()?),
        17 => {
            let (instance, index, chunk) = (reader.instance()?, reader.u32()?, reader.bytes()?);
            if chunk.len() > STATE_CHUNK_BYTES {
                return Err(CodecError::Count(chunk.len() as u64));
            }
            Message::Chunk(instance, index, chunk)
        }
        18 => Message::Probe(reader.u64()?),
        19 => Message::ProbeReply(ProbeReply::decode(reader)?),
        tag => return Err(CodecError::Tag(tag)),
    })
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
        Message::StopData(signed) if signed.sender != sender => Err(Reject::Sender),
        Message::StopData(signed) => signed.verify(view, keyring),
        Message::Sync(sync) => sync.verify(view, keyring),
        Message::Checkpoint(signed) if signed.voter != sender => Err(Reject::Sender),
        Message::Checkpoint(signed) => signed.verify(view, keyring),
        Message::Stable(checkpoint, manifest) if checkpoint.digest() != manifest.digest() => Err(Reject::Certificate),
        Message::Stable(checkpoint, _) => checkpoint.verify(view, keyring),
        Message::ProbeReply(reply) => reply.verify(view, keyring),
        _ => Ok(()),
    }
}

impl ProbeReply {
    fn verify(&self, view: &View, keyring: &dyn Keyring) -> Result<(), Reject> {
        self.delivered.verify(view, keyring)
    }

    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.nonce);
        writer.u8(u8::from(self.is_pristine));
        writer.u8(u8::from(self.is_stranger));
        self.delivered.encode(writer);
        writer.u64(self.wants.0);
    }

    fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        let nonce = reader.u64()?;
        let (is_pristine, is_stranger) = (reader.bool()?, reader.bool()?);
        let delivered = Evidence::decode(reader)?;
        Ok(Self { nonce, is_pristine, is_stranger, delivered, wants: reader.regency()? })
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
