//! What travels between places.

use std::rc::Rc;

use blockcutter::CutBlock;
use bytes::Bytes;
use mod_smart::{Message, Regency, Request, Sealed};

/// Something on its way.
#[derive(Clone, Debug)]
pub(super) enum Frame {
    /// A client asks a replica.
    Request(Sealed<Request>),
    /// Between replicas of the core, with its size in bytes.
    Message(Rc<Message>, usize),
    /// Between counters.
    Step(Step, usize),
    /// A replica tells a client of a block.
    Push(Push),
    /// A client asks a replica for the envelopes of a block.
    FetchBody(u64),
}

/// A message of one request between counters.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Propose(Rc<Asked>),
    Write(u64),
    Accept(u64),
}

/// A request as counters know it.
#[derive(Debug)]
pub(super) struct Asked {
    pub number: u64,
    pub envelope: Bytes,
}

/// A block as a replica signed it.
#[derive(Clone, Debug)]
pub(super) struct Push {
    pub number: u64,
    /// What was signed: block hash and metadata.
    pub signed: Bytes,
    pub standing: Standing,
    /// The envelopes, if they are sent.
    pub data: Option<Rc<Vec<Bytes>>>,
    /// Does the client come by the envelopes in another way?
    pub is_data_free: bool,
}

impl Push {
    pub fn new(block: CutBlock, standing: Standing) -> Self {
        Self {
            number: block.header.number,
            signed: [&block.header_hash[..], &block.metadata_value].concat().into(),
            standing,
            data: Some(Rc::new(block.data)),
            is_data_free: false,
        }
    }

    fn data_bytes(&self) -> usize {
        let envelopes = self.data.iter().flat_map(|data| data.iter()).map(Bytes::len);
        if self.is_data_free { 0 } else { envelopes.sum() }
    }
}

/// What a replica says of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Decided,
    /// Written by a quorum in this regency.
    Tentative(Regency),
}

impl Frame {
    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        match self {
            Self::Request(request) => request.bytes().len(),
            Self::Message(_, size) | Self::Step(_, size) => *size,
            Self::Push(push) => PUSH_BYTES + push.data_bytes(),
            Self::FetchBody(_) => SMALL_BYTES,
        }
    }

    /// How many signatures its reader checks.
    pub fn signatures(&self) -> u32 {
        match self {
            Self::Request(_) | Self::Push(_) => 1,
            Self::Message(message, _) => match **message {
                Message::Vote(_) | Message::StopData(_) | Message::Checkpoint(_) => 1,
                _ => 0,
            },
            Self::Step(Step::Write(_) | Step::Accept(_), _) => 1,
            Self::Step(Step::Propose(_), _) | Self::FetchBody(_) => 0,
        }
    }

    /// How many envelopes its reader looks at.
    pub fn envelopes(&self) -> u32 {
        match self {
            Self::Request(_) => 1,
            Self::Push(push) => push.data.as_ref().map_or(0, |data| data.len() as u32),
            _ => 0,
        }
    }
}

/// Header, metadata and a signature with its certificate.
const PUSH_BYTES: usize = 1_100;
const SMALL_BYTES: usize = 64;
