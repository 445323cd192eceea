//! A chain under verification: its tip and the configuration in force.

use anyhow::{Context as _, bail, ensure};
use fabric_channel::update;
use fabric_channel::{BlockVerifier, ChannelConfig, ConfigContent};
use fabric_proto::Envelope;
use fabric_proto::common::Block;
use fabric_proto::metadata::last_config_index;

/// What is known of a chain so far.
#[derive(Debug)]
pub(super) struct Chain {
    config: ChannelConfig,
    verifier: BlockVerifier,
    /// Number of the block that holds the configuration in force.
    config_number: u64,
    pub(super) number: u64,
    pub(super) hash: [u8; 32],
    pub(super) blocks: u64,
    pub(super) config_blocks: u64,
}

impl Chain {
    /// A chain whose tip, and the configuration in force after it, are trusted.
    pub(super) fn new(config: ChannelConfig, config_number: u64, number: u64, hash: [u8; 32]) -> Self {
        let verifier = BlockVerifier::new(&config);
        let config_blocks = u64::from(config_number == number);
        Self { config, verifier, config_number, number, hash, blocks: 1, config_blocks }
    }

    pub(super) fn channel_id(&self) -> &str {
        self.config.channel_id().as_str()
    }

    pub(super) fn sequence(&self) -> u64 {
        self.config.sequence()
    }

    /// Verifies the next block and moves on to it.
    pub(super) fn append(&mut self, block: &Block) -> anyhow::Result<()> {
        let number = self.number.checked_add(1).context("no number is left")?;
        self.verifier.verify_block(block, number, Some(&self.hash))?;
        let at = || format!("block {number}");
        let next = self.next_config(block).with_context(at)?;
        let config_number = if next.is_some() { number } else { self.config_number };
        let named = last_config_index(block).with_context(at)?;
        ensure!(
            named == config_number,
            "block {number}: it names block {named} as the latest configuration block, which is {config_number}"
        );
        if let Some(config) = next {
            self.verifier = BlockVerifier::new(&config);
            self.config = config;
            self.config_number = number;
            self.config_blocks += 1;
        }
        self.hash = block.header.as_ref().map(|header| header.hash()).with_context(at)?;
        self.number = number;
        self.blocks += 1;
        Ok(())
    }

    /// The configuration that the block brings, if it does; entries of other channels and hidden configurations are
    /// faults.
    fn next_config(&self, block: &Block) -> anyhow::Result<Option<ChannelConfig>> {
        let mut next = None;
        for (index, entry) in block.entries().iter().enumerate() {
            let envelope = Envelope::decode(entry.clone()).with_context(|| format!("entry {index}"))?;
            let (channel, named) = (self.channel_id(), envelope.channel_id());
            ensure!(named == channel, "entry {index} is of channel {named:?}, not of {channel}");
            if !envelope.is_config() {
                continue;
            }
            ensure!(block.entries().len() == 1, "entry {index}: a CONFIG envelope has to be alone in its block");
            next = Some(self.transition(block, &envelope)?);
        }
        Ok(next)
    }

    /// What a peer demands of a CONFIG transaction.
    fn transition(&self, block: &Block, envelope: &Envelope) -> anyhow::Result<ChannelConfig> {
        let signed = envelope.signature_header().map_err(Clone::clone)?;
        if signed.creator.is_empty() || signed.nonce.is_empty() || envelope.channel_header().epoch != 0 {
            bail!("the CONFIG envelope has no creator, no nonce, or an epoch other than 0");
        }
        let creator = self.config.msps().deserialise(&signed.creator).context("creator of the CONFIG envelope")?;
        creator.validity().with_context(|| format!("creator {creator} of the CONFIG envelope"))?;
        creator.verify(envelope.payload(), envelope.signature()).context("signature of the CONFIG envelope")?;
        let content = ConfigContent::decode(envelope.data()).context("content of the CONFIG envelope")?;
        update::validate(self.config.bundle(), &content).context("configuration")?;
        ChannelConfig::from_block(block).context("configuration")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use bytes::Bytes;
    use fabric_proto::canonical;
    use fabric_proto::common::{BlockData, Payload};
    use prost::Message as _;

    use super::*;
    use crate::msp_folder::SigningIdentity;

    #[test]
    fn the_real_transition_is_that_of_its_update() {
        let next = chain().next_config(&real()).unwrap().unwrap();
        assert_eq!((next.sequence(), next.batch_size().max_message_count), (1, 20));
    }

    #[test]
    fn a_configuration_that_its_update_does_not_lead_to_is_refused() {
        let altered = altered(|content| content.config.as_mut().unwrap().root.as_mut().unwrap().version += 1);
        let text = refusal(&altered);
        assert!(text.contains("the update that it names leads to another configuration"), "{text}");
        let text = refusal(&self::altered(|content| content.last_update = None));
        assert!(text.contains("does not say which update led to its configuration"), "{text}");
        // Signed again, but not changed: the test's own doing is not what is refused.
        assert!(chain().next_config(&self::altered(|_| {})).is_ok());
    }

    #[test]
    fn a_configuration_is_alone_in_its_block_and_of_the_same_channel() {
        let mut crowded = real();
        let entry = crowded.entries()[0].clone();
        crowded.data = Some(BlockData { data: vec![entry.clone(), entry] });
        assert!(refusal(&crowded).contains("entry 0: a CONFIG envelope has to be alone in its block"));
        let mut other = chain();
        other.config = ChannelConfig::from_block(&block("raft/genesis")).unwrap();
        let error = other.next_config(&real()).unwrap_err().to_string();
        assert_eq!(error, "entry 0 is of channel \"bftch\", not of raftch");
    }

    #[test]
    fn a_transition_that_nobody_signed_is_refused() {
        let mut unsigned = real();
        let envelope = Envelope::decode(unsigned.entries()[0].clone()).unwrap();
        let entry = canonical::encode(envelope.payload(), b"x");
        unsigned.data = Some(BlockData { data: vec![entry] });
        assert!(refusal(&unsigned).contains("signature of the CONFIG envelope"));
    }

    /// The channel before its real change.
    fn chain() -> Chain {
        let genesis = block("bft/genesis");
        Chain::new(ChannelConfig::from_block(&genesis).unwrap(), 0, 0, [0; 32])
    }

    fn real() -> Block {
        block("bft/config_after")
    }

    fn refusal(block: &Block) -> String {
        format!("{:#}", chain().next_config(block).unwrap_err())
    }

    /// The real change with another content, signed by one of the real orderers.
    fn altered(change: impl FnOnce(&mut ConfigContent)) -> Block {
        let mut block = real();
        let envelope = Envelope::decode(block.entries()[0].clone()).unwrap();
        let mut content = ConfigContent::decode(envelope.data()).unwrap();
        change(&mut content);
        let mut payload = Payload::decode(envelope.payload().clone()).unwrap();
        payload.data = content.encode().into();
        let payload = Bytes::from(payload.encode_to_vec());
        let folder = "../integration/tests/data/crypto/ordererOrganizations/orderer.example.com/orderers";
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("o1.orderer.example.com/msp");
        let signer = SigningIdentity::read(&folder, "OrdererMSP").unwrap();
        block.data = Some(BlockData { data: vec![canonical::encode(&payload, &signer.sign(&payload))] });
        block
    }

    fn block(name: &str) -> Block {
        let path = format!("{}/../fabric-channel/tests/data/{name}.block", env!("CARGO_MANIFEST_DIR"));
        Block::decode(&std::fs::read(path).unwrap()[..]).unwrap()
    }
}
