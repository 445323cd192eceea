//! Which configuration governs a block: that of the last config block before it, or its own.

use fabric_proto::common::{Block, BlockMetadata};
use fabric_proto::{Envelope, metadata};
use prost::Message;

use crate::ledger::StoredBlock;

/// The number of the config block that this block names as the last one; its own if it is one.
pub(super) fn config_block_of(block: &StoredBlock) -> Result<u64, String> {
    if block.config {
        return Ok(block.number);
    }
    let slots = BlockMetadata::decode(block.metadata()).map_err(|error| error.to_string())?;
    let block = Block { metadata: Some(slots), ..Block::default() };
    metadata::last_config_index(&block).map_err(|error| error.to_string())
}

/// The sequence of the configuration in a config block. The configuration itself is passed over.
pub(super) fn governing_sequence(config_block: &StoredBlock) -> Result<u64, String> {
    let number = config_block.number;
    let block = Block::decode(config_block.encoded()).map_err(|error| error.to_string())?;
    let entry = block.entries().first().filter(|_| config_block.config);
    let entry = entry.ok_or_else(|| format!("block {number} holds none"))?;
    let envelope = Envelope::decode(entry.clone()).map_err(|error| error.to_string())?;
    let content = ConfigEnvelope::decode(envelope.data().clone()).map_err(|error| error.to_string())?;
    Ok(content.config.unwrap_or_default().sequence)
}

/// The one field of a `common.ConfigEnvelope` that is read.
#[derive(Clone, PartialEq, prost::Message)]
struct ConfigEnvelope {
    #[prost(message, optional, tag = "1")]
    config: Option<Config>,
}

/// The one field of a `common.Config` that is read.
#[derive(Clone, PartialEq, prost::Message)]
struct Config {
    #[prost(uint64, tag = "1")]
    sequence: u64,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::ledger::Ledger;

    #[test]
    fn a_real_config_block_governs_itself_and_what_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        for number in 0..2_u64 {
            let path = format!("{}/tests/data/chain/{number}.block", env!("CARGO_MANIFEST_DIR"));
            ledger.append(number, Bytes::from(std::fs::read(path).unwrap())).unwrap();
        }
        let (genesis, next) = (ledger.read(0).unwrap().unwrap(), ledger.read(1).unwrap().unwrap());
        assert_eq!((config_block_of(&genesis), config_block_of(&next)), (Ok(0), Ok(0)));
        assert_eq!(governing_sequence(&genesis), Ok(0));
        assert!(governing_sequence(&next).unwrap_err().contains("holds none"));
    }
}
