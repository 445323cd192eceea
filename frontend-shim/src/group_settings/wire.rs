//! Settings in bytes, as they stand in the ids of groups and in handshakes.

use mod_smart::codec::{CodecError, Reader, Writer};

use super::{FaultModel, GroupSettings, IDS_MAX};

impl GroupSettings {
    /// One form of settings has one encoding: it is part of group ids and of handshakes.
    pub fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u8(match self.fault_model {
            FaultModel::Byzantine => 0,
            FaultModel::Crash => 1,
        });
        writer.u16(self.delta as u16);
        encode_ids(writer, self.heavy.iter());
        encode_ids(writer, self.leaders.iter());
        writer.u64(self.window);
        writer.u8(u8::from(self.tentative));
    }

    /// Reads what another side says of itself. Whether it makes sense is its own affair.
    ///
    /// # Errors
    /// The bytes are no settings of this version.
    pub fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        match reader.u8()? {
            VERSION => {}
            other => return Err(CodecError::Tag(other)),
        }
        let fault_model = match reader.u8()? {
            0 => FaultModel::Byzantine,
            1 => FaultModel::Crash,
            other => return Err(CodecError::Tag(other)),
        };
        let delta = usize::from(reader.u16()?);
        let heavy = reader.list(IDS_MAX, ID_BYTES, Reader::u32)?;
        if !heavy.is_sorted_by(|one, next| one < next) {
            return Err(CodecError::Order);
        }
        let leaders = reader.list(IDS_MAX, ID_BYTES, Reader::u32)?;
        let (window, tentative) = (reader.u64()?, reader.bool()?);
        Ok(Self { fault_model, delta, heavy: heavy.into_iter().collect(), leaders, window, tentative })
    }
}

fn encode_ids<'a>(writer: &mut Writer, ids: impl ExactSizeIterator<Item = &'a u32>) {
    writer.count(ids.len());
    for id in ids {
        writer.u32(*id);
    }
}

/// The version of the encoding.
const VERSION: u8 = 1;

/// Bytes of an encoded consenter id.
const ID_BYTES: usize = 4;
