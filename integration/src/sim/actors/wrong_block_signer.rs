//! *Attack.* Orders honestly and lies to the frontends: other headers under a good signature, other contents under the good
//! header, signatures that are none, signatures over other metadata, blocks of other numbers; all liars sign the same lie.
//!
//! *Answer.* A frontend serves a block when signatures of a quorum over one header verify; liars are fewer. Contents are
//! checked against the header's data hash before they count as the block; a missing body is asked of another replica.

use bytes::Bytes;
use mod_smart::{Message, ReplicaId, Signature};

use crate::sim::actor::{Actor, BlockPush, Hand};
use crate::sim::keys::checksum;

#[derive(Debug)]
struct WrongBlockSigner {
    seed: u64,
}

pub(super) fn make(seed: u64) -> Box<dyn Actor> {
    Box::new(WrongBlockSigner { seed })
}

impl Actor for WrongBlockSigner {
    fn name(&self) -> &'static str {
        "wrong-block-signer"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        hand.send(to, message);
    }

    fn on_push(&mut self, mut push: BlockPush, hand: &mut Hand<'_>) {
        // Which lie a block gets is the same for all liars, so that their signatures add up.
        let number = push.header.number;
        match checksum(0xb10c, &number.to_be_bytes()) % 7 {
            0 => push.header.data_hash = lie_of(number),
            1 => push.header.previous_hash = lie_of(number),
            2 => push.header.number = number + 1,
            3 => push.metadata_value = lie_of(number),
            4 => {
                push.signature = Signature([self.seed as u8; 64]);
                return hand.push(push);
            }
            5 => push.data = push.data.map(|_| vec![lie_of(number)]),
            _ if hand.random.bool() => return hand.push(push),
            _ => return,
        }
        push.sign(hand.me);
        hand.push(push);
    }
}

fn lie_of(number: u64) -> Bytes {
    [number.to_be_bytes(); 4].concat().into()
}
