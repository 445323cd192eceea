//! Changing single fields of a marshalled message and leaving all others alone, known or not.

use bytes::Bytes;

use crate::wire::{self, Malformed, push_content, push_number};

/// A message as the list of its fields.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(u64, Vec<u8>)>);

impl Fields {
    pub(super) fn read(message: &[u8]) -> Result<Self, Malformed> {
        let fields = wire::fields(message).map(|field| {
            let field = field?;
            let mut bytes = Vec::new();
            field.keep(&mut bytes);
            Ok((field.number, bytes))
        });
        fields.collect::<Result<_, _>>().map(Self)
    }

    /// The contents of a repeated field, in order.
    pub(super) fn contents(&self, number: u64) -> Vec<Vec<u8>> {
        let bytes = self.0.iter().filter(|(found, _)| *found == number).map(|(_, bytes)| bytes);
        bytes
            .flat_map(|bytes| wire::fields(bytes).flatten())
            .filter_map(|field| field.content().map(<[u8]>::to_vec))
            .collect()
    }

    /// Replaces a number; zero is written as absence.
    pub(super) fn set_number(&mut self, number: u64, value: u64) {
        let mut bytes = Vec::new();
        push_number(&mut bytes, number, value);
        self.replace(number, [bytes].into_iter().filter(|bytes| !bytes.is_empty()));
    }

    /// Replaces a text, a message, or a repeated field of either.
    pub(super) fn set_contents<C: AsRef<[u8]>>(&mut self, number: u64, contents: impl IntoIterator<Item = C>) {
        self.replace(
            number,
            contents.into_iter().map(|content| {
                let mut bytes = Vec::new();
                push_content(&mut bytes, number, content.as_ref());
                bytes
            }),
        );
    }

    fn replace(&mut self, number: u64, fields: impl Iterator<Item = Vec<u8>>) {
        self.0.retain(|(found, _)| *found != number);
        self.0.extend(fields.map(|bytes| (number, bytes)));
    }

    /// The message, fields by number.
    pub(super) fn write(mut self) -> Bytes {
        self.0.sort_by_key(|(number, _)| *number);
        self.0.into_iter().flat_map(|(_, bytes)| bytes).collect()
    }
}
