//! Serving frontends with lies: a session as the protocol has it, except for what is said about blocks.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use frontend_shim::frame::{Bodies, Opened, ToFrontend, ToNode, VERSION, Welcome};
use frontend_shim::framing::{FRAME_BYTES_MAX, FrameReader, FrameWriter};
use mod_smart::ReplicaId;
use orderer_node::listener::Socket;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::watch;

use super::lies::{Lie, Signer, Tip};

/// What all sessions of the liar share.
#[derive(Clone, Debug)]
pub struct FalseBlocks {
    pub lie: Lie,
    pub signer: Arc<Signer>,
    pub me: ReplicaId,
    pub genesis: [u8; 32],
    /// The last certified block that an honest node has shown.
    pub tip: watch::Receiver<Tip>,
}

impl FalseBlocks {
    /// One session, until the frontend has had enough of it.
    pub async fn serve(mut self, socket: Socket) -> anyhow::Result<()> {
        let (near, far) = tokio::io::split(socket);
        let (mut reader, mut writer) = (FrameReader::new(near, FRAME_BYTES_MAX), FrameWriter::new(far));
        let hello = ToNode::decode(reader.read_frame().await?.context("a frontend speaks first")?)?;
        let ToNode::Hello(hello) = hello else { bail!("a frontend begins with Hello") };
        // Bodies are sent to those who want them, and when it is one's turn; a liar who keeps to that gets furthest.
        if self.lie == Lie::Body && hello.bodies == Bodies::SharedLedger {
            self.lie = Lie::Nothing;
        }
        let opened = Opened { channel: self.signer.channel.clone(), genesis: self.genesis, height: 1 };
        let welcome = Welcome { version: VERSION, replica: self.me, channels: vec![opened] };
        writer.write_frame(ToFrontend::Welcome(welcome).encode()).await?;
        writer.flush().await?;
        self.converse(reader, writer).await
    }

    async fn converse(
        &mut self,
        mut reader: FrameReader<ReadHalf<Socket>>,
        mut writer: FrameWriter<WriteHalf<Socket>>,
    ) -> anyhow::Result<()> {
        let mut is_subscribed = false;
        self.tip.mark_changed();
        loop {
            tokio::select! {
                frame = reader.read_frame() => {
                    let Some(frame) = frame? else { return Ok(()) };
                    match ToNode::decode(frame)? {
                        ToNode::Subscribe { .. } => is_subscribed = true,
                        ToNode::Ping(number) => writer.write_frame(ToFrontend::Pong(number).encode()).await?,
                        _ => {}
                    }
                }
                changed = self.tip.changed(), if is_subscribed => {
                    changed?;
                    let tip = *self.tip.borrow_and_update();
                    for frame in self.lie.tell(&self.signer, tip) {
                        writer.write_frame(frame).await?;
                    }
                }
            }
            writer.flush().await?;
        }
    }
}
