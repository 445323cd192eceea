//! Messages of gRPC services whose code nobody generates here.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Writes messages of one kind and reads those of another.
#[derive(Debug)]
pub(super) struct MessageCodec<W, R>(PhantomData<(W, R)>);

impl<W, R> MessageCodec<W, R> {
    pub(super) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<W: Message + 'static, R: Message + Default + 'static> Codec for MessageCodec<W, R> {
    type Encode = W;
    type Decode = R;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::new()
    }

    fn decoder(&mut self) -> Self {
        Self::new()
    }
}

impl<W: Message, R> Encoder for MessageCodec<W, R> {
    type Item = W;
    type Error = Status;

    fn encode(&mut self, message: W, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(out).map_err(|error| Status::internal(error.to_string()))
    }
}

impl<W, R: Message + Default> Decoder for MessageCodec<W, R> {
    type Item = R;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<R>, Status> {
        R::decode(buffer).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
