//! The message in which a block leaves: a gRPC frame around `DeliverResponse{block}`.
//!
//! The head of the message stands directly before the block in one buffer, so that every stream sends the same bytes
//! and nobody encodes a block twice. Field number from the contract, Appendix A: `DeliverResponse` has `block` as 2.

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{encode_varint, encoded_len_varint};

/// Joins `pieces`, which together are an encoded block, behind the head of their message, whose end they are.
pub(super) fn block_message(pieces: &[&[u8]]) -> Bytes {
    let block_len: usize = pieces.iter().map(|piece| piece.len()).sum();
    let response_len = 1 + encoded_len_varint(block_len as u64) + block_len;
    let mut out = BytesMut::with_capacity(FRAME_HEAD_BYTES + response_len);
    out.put_u8(NOT_COMPRESSED);
    // A record is far below 4 GiB, see the limits.
    out.put_u32(response_len as u32);
    out.put_u8(BLOCK_KEY);
    encode_varint(block_len as u64, &mut out);
    for piece in pieces {
        out.put_slice(piece);
    }
    out.freeze()
}

/// gRPC's flag for a message that is not compressed.
const NOT_COMPRESSED: u8 = 0;
/// The flag and a length of four bytes.
const FRAME_HEAD_BYTES: usize = 5;
/// Field 2, length-delimited.
const BLOCK_KEY: u8 = 0x12;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fabric_proto::common::{Block, BlockData, BlockHeader};
    use fabric_proto::orderer::{DeliverResponse, deliver_response::Type};
    use prost::Message;

    use super::*;

    #[test]
    fn a_message_is_what_the_generated_code_would_write() {
        for size in [0, 1, 200, 70_000] {
            let block = Block {
                header: Some(BlockHeader { number: 7, ..Default::default() }),
                data: Some(BlockData { data: vec![vec![1; size].into()] }),
                metadata: None,
            };
            let expected = DeliverResponse { r#type: Some(Type::Block(block.clone())) }.encode_to_vec();
            let encoded = block.encode_to_vec();
            let (left, right) = encoded.split_at(3);
            let message = block_message(&[left, right]);
            assert!(message.ends_with(&encoded));
            assert_eq!(message[0], 0);
            assert_eq!(message[1..5], (expected.len() as u32).to_be_bytes());
            assert_eq!(message[5..], expected);
        }
    }
}
