//! A cluster of one that orders what it gets at once: every order becomes a block, if it is good when its turn comes.
#![allow(dead_code, clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fabric_channel::config_transaction;
use fabric_proto::block::data_hash;
use fabric_proto::common::{Block, BlockData, BlockHeader};
use fabric_proto::metadata::block_metadata;
use fabric_proto::{ChannelId, Envelope};
use frontend_shim::broadcast::{Order, Submit, SubmitError};
use frontend_shim::channels::{Channel, Channels};
use futures::future::BoxFuture;
use prost::Message as _;

/// Orders for these channels, in their order of arrival.
pub struct Sequencer {
    channels: Channels,
    orders: Mutex<Orders>,
}

#[derive(Default)]
struct Orders {
    is_held: bool,
    /// How many submissions are going to fail.
    refused: usize,
    held: Vec<(Arc<Channel>, Order)>,
    seen: Vec<Order>,
    left_out: Vec<Order>,
}

impl Sequencer {
    pub fn new(channels: Channels) -> Arc<Self> {
        Arc::new(Self { channels, orders: Mutex::default() })
    }

    /// Acknowledges from now on without ordering.
    pub fn hold(&self) {
        self.orders.lock().unwrap().is_held = true;
    }

    /// Orders what was held, and from now on at once again.
    pub fn release(&self) {
        let mut orders = self.orders.lock().unwrap();
        orders.is_held = false;
        for (channel, order) in std::mem::take(&mut orders.held) {
            orders.turn(&channel, order);
        }
    }

    /// Is out of reach for the next submissions.
    pub fn refuse(&self, submissions: usize) {
        self.orders.lock().unwrap().refused = submissions;
    }

    /// Everything that was submitted so far.
    pub fn seen(&self) -> Vec<Order> {
        self.orders.lock().unwrap().seen.clone()
    }

    /// What was not good when its turn came.
    pub fn left_out(&self) -> Vec<Order> {
        self.orders.lock().unwrap().left_out.clone()
    }
}

impl Orders {
    fn turn(&mut self, channel: &Channel, order: Order) {
        let Order::Config { sequence, envelope } = &order else {
            return append(channel, order.envelope().clone(), false);
        };
        let current = channel.config();
        let verdict = config_transaction::verify(&current, &Envelope::decode(envelope.clone()).unwrap());
        match verdict {
            Ok(next) if *sequence == current.sequence() => {
                append(channel, envelope.clone(), true);
                channel.install_config(next);
            }
            _ => self.left_out.push(order),
        }
    }
}

/// A block of one envelope, whose metadata names the last config block.
fn append(channel: &Channel, envelope: Bytes, is_config: bool) {
    let ledger = channel.ledger();
    let (tip, entries) = (ledger.tip().unwrap(), vec![envelope]);
    let number = tip.number + 1;
    let header = BlockHeader {
        number,
        previous_hash: Bytes::copy_from_slice(&tip.header_hash),
        data_hash: Bytes::copy_from_slice(&data_hash(&entries)),
    };
    let newest = Block::decode(ledger.read(tip.number).unwrap().unwrap().encoded()).unwrap();
    let last_config = if is_config { number } else { fabric_proto::metadata::last_config_index(&newest).unwrap() };
    let metadata = block_metadata(last_config, Bytes::new(), Vec::new());
    let slot0 = metadata.metadata[0].clone();
    let block = Block { header: Some(header), data: Some(BlockData { data: entries }), metadata: Some(metadata) };
    ledger.append(number, block.encode_to_vec().into()).unwrap();
    ledger.certify(number, slot0).unwrap();
}

impl Submit for Sequencer {
    fn submit(&self, channel: &ChannelId, order: Order) -> BoxFuture<'static, Result<(), SubmitError>> {
        let channel = self.channels.find(channel.as_str()).unwrap();
        let mut orders = self.orders.lock().unwrap();
        if let Some(left) = orders.refused.checked_sub(1) {
            orders.refused = left;
            return Box::pin(std::future::ready(Err(SubmitError::NotOpen)));
        }
        orders.seen.push(order.clone());
        if orders.is_held {
            orders.held.push((channel, order));
        } else {
            orders.turn(&channel, order);
        }
        Box::pin(std::future::ready(Ok(())))
    }
}
