//! The data of a block as one node hands it to another: what has to be true of its bytes before anybody stores them.

use bytes::Bytes;
use fabric_proto::block::check_entries;
use fabric_proto::common::BlockData;
use prost::Message as _;

/// Reads an encoded `common.BlockData`, which no correct node sends in another form than the one it is stored in.
///
/// A hash of entries does not say where one ends, and an encoding can be padded, so the form is checked too: peers would
/// refuse the block, and ledgers must be equal. Whether it is the *right* data, the header's data hash says.
///
/// # Errors
/// What is wrong with it.
pub fn read_body(body: &Bytes) -> Result<BlockData, String> {
    let data = BlockData::decode(body.clone()).map_err(|e| e.to_string())?;
    check_entries(&data.data).map_err(|e| e.to_string())?;
    if data.encode_to_vec() != *body {
        return Err("it is not in canonical form".to_owned());
    }
    Ok(data)
}
