//! Widths and precisions of Go's format verbs: `.4s`, `-10s`, `04x`.

/// How a text or number is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    width: usize,
    precision: Option<usize>,
    is_left: bool,
    has_zeros: bool,
    verb: Option<char>,
}

impl Layout {
    /// Reads a verb without its percent sign; `verbs` are the letters that may end it. Empty is the plain layout.
    pub(super) fn read(text: &str, verbs: &[char]) -> Option<Self> {
        let mut layout = Self::default();
        let mut rest = text;
        while let Some(flag) = rest.chars().next().filter(|flag| matches!(flag, '-' | '0')) {
            layout.is_left |= flag == '-';
            layout.has_zeros |= flag == '0';
            rest = &rest[1..];
        }
        (layout.width, rest) = number(rest)?;
        if let Some(after) = rest.strip_prefix('.') {
            let (precision, after) = number(after)?;
            (layout.precision, rest) = (Some(precision), after);
        }
        let mut letters = rest.chars();
        layout.verb = letters.next();
        let is_known = layout.verb.is_none_or(|verb| verbs.contains(&verb));
        (is_known && letters.next().is_none() && (layout.verb.is_some() || text.is_empty())).then_some(layout)
    }

    /// Adds a text, cut to the precision and filled to the width.
    pub(super) fn text(self, out: &mut String, text: &str) {
        let cut = self.precision.and_then(|max| text.char_indices().nth(max)).map_or(text, |(end, _)| &text[..end]);
        self.fill(out, cut, ' ');
    }

    /// Adds a number in the base of the verb.
    pub(super) fn number(self, out: &mut String, number: u64) {
        let digits = match self.verb {
            Some('x') => format!("{number:x}"),
            Some('X') => format!("{number:X}"),
            Some('o') => format!("{number:o}"),
            Some('b') => format!("{number:b}"),
            _ => number.to_string(),
        };
        self.fill(out, &digits, if self.has_zeros && !self.is_left { '0' } else { ' ' });
    }

    fn fill(self, out: &mut String, text: &str, filler: char) {
        let missing = self.width.saturating_sub(text.chars().count());
        if self.is_left {
            out.push_str(text);
        }
        out.extend(std::iter::repeat_n(filler, missing));
        if !self.is_left {
            out.push_str(text);
        }
    }
}

/// The number at the start of a text, and the rest; no digits are 0.
fn number(text: &str) -> Option<(usize, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let number = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    (number <= WIDTH_MAX).then_some((number, rest))
}

const WIDTH_MAX: usize = 200;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_filled() {
        for (layout, expected) in
            [("", "ERROR"), ("s", "ERROR"), (".4s", "ERRO"), ("7s", "  ERROR"), ("-7s|", ""), ("-7.2s", "ER     ")]
        {
            let Some(layout) = Layout::read(layout, &['s']) else {
                assert_eq!(expected, "", "{layout}");
                continue;
            };
            let mut out = String::new();
            layout.text(&mut out, "ERROR");
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn numbers_have_a_base_and_zeros() {
        for (layout, expected) in
            [("", "171"), ("d", "171"), ("04x", "00ab"), ("X", "AB"), ("-5d", "171  "), ("5d", "  171")]
        {
            let mut out = String::new();
            Layout::read(layout, &['d', 'x', 'X']).unwrap().number(&mut out, 171);
            assert_eq!(out, expected);
        }
        for wrong in ["z", "4", "4xx", "999d"] {
            assert_eq!(Layout::read(wrong, &['d', 'x']), None, "{wrong}");
        }
    }
}
