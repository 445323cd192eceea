//! Which envelopes are sent: properly signed, unsigned, or sent before.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Shares in percent; together 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mix {
    /// New, with a signature of their own.
    pub signed: u8,
    /// New, with a signature that fits another envelope: to be refused by whoever checks it.
    pub unsigned: u8,
    /// The bytes of an earlier one again, to another frontend: to be acknowledged, and not ordered again.
    pub duplicate: u8,
}

/// What an envelope is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A new one as it should be.
    Signed,
    /// A new one that should be refused.
    Unsigned,
    /// An old one.
    Duplicate,
}

impl Mix {
    /// Nothing but new ones as they should be.
    pub const PLAIN: Self = Self { signed: 100, unsigned: 0, duplicate: 0 };

    /// What the envelope with this number is: of every hundred in a row exactly the shares, well mixed.
    pub(super) const fn kind_of(&self, number: u64) -> Kind {
        let place = (number % 100 * STRIDE % 100) as u8;
        if place < self.signed {
            Kind::Signed
        } else if place < self.signed + self.unsigned {
            Kind::Unsigned
        } else {
            Kind::Duplicate
        }
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut mix = Self { signed: 0, unsigned: 0, duplicate: 0 };
        for part in text.split(',') {
            let (name, share) = part.split_once('=').ok_or("not of the form signed=90,unsigned=5,duplicate=5")?;
            let share: u8 = share.parse().map_err(|_| format!("`{share}` is not a share in percent"))?;
            match name {
                "signed" => mix.signed = share,
                "unsigned" => mix.unsigned = share,
                "duplicate" => mix.duplicate = share,
                _ => return Err(format!("`{name}` is none of signed, unsigned and duplicate")),
            }
        }
        let sum = u32::from(mix.signed) + u32::from(mix.unsigned) + u32::from(mix.duplicate);
        if sum != 100 {
            return Err(format!("the shares come to {sum}, not to 100"));
        }
        if mix.signed == 0 {
            return Err("without signed ones nothing is ordered, and nothing can be sent again".to_owned());
        }
        Ok(mix)
    }
}

/// Has no factor in common with 100, so that a hundred steps come to every place once.
const STRIDE: u64 = 37;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact_in_every_hundred() {
        let mix = "signed=90,unsigned=3,duplicate=7".parse::<Mix>();
        assert_eq!(mix, Ok(Mix { signed: 90, unsigned: 3, duplicate: 7 }));
        let mix = mix.unwrap_or(Mix::PLAIN);
        for from in [0, 55, 12_345_678] {
            let count = |kind| (from..from + 100).filter(|&number| mix.kind_of(number) == kind).count();
            let counts = (count(Kind::Signed), count(Kind::Unsigned), count(Kind::Duplicate));
            assert_eq!(counts, (90, 3, 7));
        }
        assert!((0..100).all(|number| Mix::PLAIN.kind_of(number) == Kind::Signed));
    }

    #[test]
    fn what_is_no_mix_is_refused() {
        for (text, why) in [
            ("signed", "not of the form signed=90,unsigned=5,duplicate=5"),
            ("signed=x", "`x` is not a share in percent"),
            ("signed=90,other=10", "`other` is none of signed, unsigned and duplicate"),
            ("signed=90,unsigned=5", "the shares come to 95, not to 100"),
            ("unsigned=100", "without signed ones nothing is ordered, and nothing can be sent again"),
        ] {
            assert_eq!(text.parse::<Mix>(), Err(why.to_owned()));
        }
    }
}
