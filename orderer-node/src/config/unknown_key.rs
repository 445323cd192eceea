//! Finds, in what the deserialiser says, the key it does not know, and among the known keys the one that was probably
//! meant.

/// The unknown key and the nearest known one, if this message complains about an unknown key.
pub(super) fn find(message: &str) -> Option<(String, Option<String>)> {
    let complaint = message.strip_prefix("unknown field ")?;
    // The rest reads: `key`, expected one of `a`, `b`.
    let mut quoted = complaint.split('`').skip(1).step_by(2);
    let key = quoted.next()?.to_owned();
    let nearest = nearest(&key, quoted).map(str::to_owned);
    Some((key, nearest))
}

/// The known word that an unknown one most resembles, if it resembles one: at most every other character differs.
pub(crate) fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (distance(unknown, known), known))
        .filter(|&(edits, known)| edits * 2 <= known.len())
        .min()
        .map(|(_, known)| known)
}

/// The end of an error text that names the nearest key.
pub(crate) fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |known| format!("; did you mean `{known}`?"))
}

/// Characters to insert, remove or replace to turn one word into the other (Levenshtein).
pub(crate) fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (at, &to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_textbook() {
        for (left, right, edits) in
            [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("key", "key", 0), ("ab", "ba", 2)]
        {
            assert_eq!(distance(left, right), edits, "{left} {right}");
        }
    }

    #[test]
    fn only_complaints_about_unknown_keys_are_taken_apart() {
        assert_eq!(find("missing field `a`"), None);
        assert_eq!(find("unknown field `lgo`, expected `log`"), Some(("lgo".into(), None)));
        assert_eq!(find("unknown field `logs`, expected `tls` or `log`"), Some(("logs".into(), Some("log".into()))));
        assert_eq!(find("unknown field `x`, there are no fields"), Some(("x".into(), None)));
    }
}
