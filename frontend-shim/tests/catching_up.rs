//! A frontend that was away for ten thousand blocks, while the nodes go on.
#![allow(clippy::unwrap_used)]

mod network;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use frontend_shim::frame::{Bodies, Opened, Push, ToFrontend, ToNode, VERSION, Welcome, body_source};
use frontend_shim::framing::{FRAME_BYTES_MAX, FrameReader, FrameWriter};
use frontend_shim::ledger::Ledger;
use frontend_shim::node_limits::{WINDOW_BLOCKS_MAX, WINDOW_BYTES};
use mod_smart::{FrontendId, ReplicaId};
use network::{Network, Unsigned, channel_id, flat};
use tokio::io::DuplexStream;
use tokio::sync::watch;

/// What the nodes share: a chain of which they have decided a growing part.
struct Chain {
    network: Network,
    blocks: Vec<Unsigned>,
    /// What each node says of each block. Signed beforehand: what is measured here is the frontend.
    pushes: Vec<Vec<Push>>,
    decided: watch::Sender<u64>,
    ledger: Arc<Ledger>,
    /// The furthest that any block was pushed beyond the certified ones.
    ahead: AtomicU64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Honest,
    /// Every body that it sends is another block's.
    WrongBodies,
    /// It welcomes, and never says anything again.
    Silent,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontend_ten_thousand_blocks_behind_catches_up_while_the_nodes_go_on() {
    let (missed, meanwhile) = (10_000, 500);
    let network = Network::new(&[7050, 7051, 7052, 7053]);
    let local = network.channel();
    let (frontend, ends) = network.frontend(Bodies::Pushed);
    let blocks = network.chain(missed + meanwhile, BODY_BYTES);
    let ledger = Arc::clone(local.channel.ledger());
    let (decided, ahead) = (watch::Sender::new(missed + 1), AtomicU64::new(0));
    let pushes = signed(&network, &blocks);
    let chain = Arc::new(Chain { network, blocks, pushes, decided, ledger: Arc::clone(&ledger), ahead });
    for ((replica, end), node) in
        ends.into_iter().enumerate().zip([Node::WrongBodies, Node::Honest, Node::Honest, Node::Honest])
    {
        tokio::spawn(serve(Arc::clone(&chain), end, replica, node));
    }
    let started = Instant::now();
    frontend.add_channel(local.channel.clone()).unwrap();
    let growing = Arc::clone(&chain);
    tokio::spawn(async move {
        for number in missed + 1..=missed + meanwhile {
            growing.decided.send_replace(number + 1);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let mut heights = ledger.watch_certified();
    let caught_up = heights.wait_for(|height| *height > missed + meanwhile);
    tokio::time::timeout(Duration::from_secs(120), caught_up).await.expect("it catches up").unwrap();
    println!("{} blocks in {:?}", missed + meanwhile, started.elapsed());

    let newest = ledger.read(missed + meanwhile).unwrap().unwrap();
    assert_eq!(newest.data(), chain.blocks.last().unwrap().body);
    let ahead = chain.ahead.load(Ordering::Relaxed);
    assert!(ahead <= WINDOW_BLOCKS_MAX, "a node was {ahead} blocks ahead of what was certified");
    assert!(ahead as usize * BODY_BYTES <= WINDOW_BYTES);
    let seen = frontend.counters().nodes;
    assert!(seen[0].wrong_bodies > 0, "the liar is named");
    assert!(seen[1..].iter().all(|honest| honest.wrong_bodies == 0), "{seen:?}");
    // A busy machine can make an honest node late, but seldom.
    assert!(seen[1..].iter().all(|honest| honest.silent_bodies < missed / 100), "{seen:?}");
    assert!(seen.iter().all(|node| node.beyond_credit == 0), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_node_does_not_hold_up_a_frontend_that_catches_up() {
    let missed = 1000;
    let network = Network::new(&[7050, 7051, 7052, 7053]);
    let local = network.channel();
    let (frontend, ends) = network.frontend(Bodies::Pushed);
    let blocks = network.chain(missed, BODY_BYTES);
    let ledger = Arc::clone(local.channel.ledger());
    let (decided, ahead) = (watch::Sender::new(missed + 1), AtomicU64::new(0));
    let pushes = signed(&network, &blocks);
    let chain = Arc::new(Chain { network, blocks, pushes, decided, ledger: Arc::clone(&ledger), ahead });
    for ((replica, end), node) in
        ends.into_iter().enumerate().zip([Node::Honest, Node::Honest, Node::Silent, Node::Honest])
    {
        tokio::spawn(serve(Arc::clone(&chain), end, replica, node));
    }
    let started = Instant::now();
    frontend.add_channel(local.channel.clone()).unwrap();
    let mut heights = ledger.watch_certified();
    let caught_up = heights.wait_for(|height| *height > missed);
    tokio::time::timeout(Duration::from_secs(60), caught_up).await.expect("it catches up").unwrap();
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    assert!(frontend.counters().nodes[2].silent_bodies > 0, "it is named");
}

/// What a node does, with the same credit and the same turns.
async fn serve(chain: Arc<Chain>, io: DuplexStream, replica: usize, node: Node) -> Option<()> {
    let (reading, writing) = tokio::io::split(io);
    let (mut reader, mut writer) = (FrameReader::new(reading, FRAME_BYTES_MAX), FrameWriter::new(writing));
    let ToNode::Hello(hello) = ToNode::decode(reader.read_frame().await.ok()??).ok()? else { return None };
    let opened = Opened { channel: channel_id(), genesis: chain.network.genesis_hash(), height: 1 };
    let welcome = Welcome { version: VERSION, replica: ReplicaId(replica as u16), channels: vec![opened] };
    writer.write_frame(ToFrontend::Welcome(welcome).encode()).await.ok()?;
    writer.flush().await.ok()?;
    if node == Node::Silent {
        return std::future::pending().await;
    }
    let frontend = hello.credential.frontend;
    let (mut next, mut until) = (u64::MAX, 0);
    let mut decided = chain.decided.subscribe();
    loop {
        let height = *decided.borrow_and_update();
        tokio::select! {
            biased;
            frame = reader.read_frame() => match ToNode::decode(frame.ok()??).ok()? {
                ToNode::Subscribe { from, until: more, .. } => {
                    next = next.min(from.max(1));
                    until = until.max(more);
                }
                ToNode::FetchBlock { number, .. } => {
                    writer.write_frame(chain.push(replica, number, true, node).encode()).await.ok()?;
                    writer.flush().await.ok()?;
                }
                _ => {}
            },
            () = std::future::ready(()), if next < until.min(height) => {
                let with_body = is_turn(frontend, next, replica);
                chain.ahead.fetch_max(next.saturating_sub(chain.ledger.certified_height()), Ordering::Relaxed);
                writer.write_frame(chain.push(replica, next, with_body, node).encode()).await.ok()?;
                writer.flush().await.ok()?;
                next += 1;
            }
            changed = decided.changed(), if next >= height => changed.ok()?,
        }
    }
}

fn is_turn(frontend: FrontendId, number: u64, replica: usize) -> bool {
    body_source(frontend, number, &flat(4)).index() == replica
}

impl Chain {
    fn push(&self, replica: usize, number: u64, with_body: bool, node: Node) -> ToFrontend {
        let block = &self.blocks[number as usize - 1];
        let other = &self.blocks[(number as usize) % self.blocks.len()];
        let body = if node == Node::WrongBodies { &other.body } else { &block.body };
        let push = self.pushes[replica][number as usize - 1].clone();
        ToFrontend::Push(Push { body: with_body.then(|| body.clone()), ..push })
    }
}

fn signed(network: &Network, blocks: &[Unsigned]) -> Vec<Vec<Push>> {
    let of_node = |replica| blocks.iter().map(|block| network.push(replica, block)).collect();
    std::thread::scope(|scope| {
        let nodes: Vec<_> = (0..4).map(|replica| scope.spawn(move || of_node(replica))).collect();
        nodes.into_iter().map(|node| node.join().unwrap()).collect()
    })
}

const BODY_BYTES: usize = 2000;
