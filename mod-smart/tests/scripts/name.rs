//! What requests are called, and who sends them.

use std::fmt;

use bytes::Bytes;
use mod_smart::{Client, FrontendId, Request, RequestId, Sealed, Sequence, SessionId};

use crate::keys::{GROUP, Key};

/// The name of a request: a small letter comes from one client, a capital letter from another, a number from a third.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Letter(char),
    Number(u64),
}

/// The greatest number that names a request.
const NUMBER_MAX: u64 = 200;

impl Name {
    /// Every request that a script can name.
    pub fn all() -> impl Iterator<Item = Self> {
        let letters = ('a'..='z').chain('A'..='Z').map(Self::Letter);
        letters.chain((1..=NUMBER_MAX).map(Self::Number))
    }

    /// Reads `a`, `7`, or `1..66`, which stands for 66 names.
    pub fn parse(word: &str) -> Result<Vec<Self>, String> {
        if let [letter] = word.chars().collect::<Vec<_>>()[..]
            && letter.is_ascii_alphabetic()
        {
            return Ok(vec![Self::Letter(letter)]);
        }
        let (first, last) = word.split_once("..").unwrap_or((word, word));
        let number = |text: &str| text.parse().ok().filter(|number| (1..=NUMBER_MAX).contains(number));
        match (number(first), number(last)) {
            (Some(first), Some(last)) => Ok((first..=last).map(Self::Number).collect()),
            _ => Err(format!("a request is called by a letter or by a number up to {NUMBER_MAX}, not {word}")),
        }
    }

    /// The request of this name.
    pub fn request(self) -> Sealed<Request> {
        let (client, number) = match self {
            Self::Letter(letter) => {
                let client = if letter.is_ascii_uppercase() { 2 } else { 1 };
                (client, u64::from(letter.to_ascii_lowercase()) - u64::from('a') + 1)
            }
            Self::Number(number) => (3, number),
        };
        let client = Client::Frontend(FrontendId([client; 32]));
        let id = RequestId { client, session: SessionId(1), sequence: Sequence(number) };
        Request { id, body: Bytes::from(self.to_string()) }.seal(GROUP, &Key(client))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Letter(letter) => write!(f, "{letter}"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}
