//! Reading a PEM block the way peers read it.
//!
//! Every peer decodes `SerializedIdentity.id_bytes` with the decoder of Go's standard library, so what counts as
//! "the" first block decides whose signature is counted: a signature that we count and peers do not count would
//! order a configuration that peers refuse. Off-the-shelf decoders are more lenient (text directly before
//! `-----BEGIN`, several blocks), hence this one. Contract §7.4 step 1.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, PAD};

/// The bytes of the first well-formed block of `data`, whatever its label; `None` if there is none.
#[must_use]
pub(crate) fn first_block(data: &[u8]) -> Option<Vec<u8>> {
    let mut rest = data;
    loop {
        let end_line = find(rest, END)?;
        let after_end = end_line + END.len();
        if let Some(begin) = rfind(&rest[..end_line], BEGIN)
            && starts_a_line(rest, begin)
            && let Some(bytes) = block_between(&rest[begin + BEGIN.len()..], after_end - begin - BEGIN.len())
        {
            return Some(bytes);
        }
        rest = &rest[after_end..];
    }
}

/// Writes a certificate as one PEM block, lines of 64 characters, as every Fabric tool does.
pub(crate) fn certificate_block(der: &[u8]) -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(der);
    let mut text = String::with_capacity(encoded.len() + encoded.len() / 64 + 64);
    text.push_str("-----BEGIN CERTIFICATE-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = next;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

/// `text` begins just after `-----BEGIN `; `label_at` is the offset just after `\n-----END `.
fn block_between(text: &[u8], label_at: usize) -> Option<Vec<u8>> {
    let (begin_line, mut offset) = line_at(text, 0);
    let label = begin_line.strip_suffix(DASHES)?;

    let mut has_headers = false;
    loop {
        if offset >= text.len() {
            return None;
        }
        let (line, next) = line_at(text, offset);
        if !line.contains(&b':') {
            break;
        }
        has_headers = true;
        offset = next;
    }

    // An empty block shares its only newline between the BEGIN and the END line.
    let body_end = label_at - END.len();
    if has_headers && body_end < offset {
        return None;
    }
    let after_label = text.get(label_at..)?.strip_prefix(label)?.strip_prefix(DASHES)?;
    if !line_at(after_label, 0).0.is_empty() {
        return None;
    }
    if body_end <= offset {
        return Some(Vec::new());
    }
    let body: Vec<u8> =
        text[offset..body_end].iter().copied().filter(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).collect();
    BASE64.decode(body).ok()
}

/// The line at `offset` without its line break and trailing blanks, and the offset of the next line.
fn line_at(text: &[u8], offset: usize) -> (&[u8], usize) {
    let rest = &text[offset..];
    let (line, next) = match rest.iter().position(|byte| *byte == b'\n') {
        Some(newline) => {
            let line = &rest[..newline];
            (line.strip_suffix(b"\r").unwrap_or(line), offset + newline + 1)
        }
        None => (rest, text.len()),
    };
    let end = line.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
    (&line[..end], next)
}

fn starts_a_line(text: &[u8], position: usize) -> bool {
    position == 0 || text[position - 1] == b'\n'
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    text.windows(pattern.len()).position(|window| window == pattern)
}

fn rfind(text: &[u8], pattern: &[u8]) -> Option<usize> {
    text.windows(pattern.len()).rposition(|window| window == pattern)
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"\n-----END ";
const DASHES: &[u8] = b"-----";

/// Go's standard encoding: padding required, bits beyond the last octet not looked at.
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PAD.with_decode_allow_trailing_bits(true));

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const BLOCK: &str = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";

    #[test]
    fn blocks_that_go_accepts() {
        let with_headers = "-----BEGIN X-----\nProc-Type: 4\nA: b\n\nAQID\n-----END X-----\n";
        for text in [
            BLOCK.to_owned(),
            BLOCK.trim_end().to_owned(),
            BLOCK.replace('\n', "\r\n"),
            BLOCK.replace("CERTIFICATE", ""),
            BLOCK.replace("AQID", " AQ \t ID "),
            format!("some text\n{BLOCK}trailing"),
            format!("{BLOCK}{}", BLOCK.replace("AQID", "BAUG")),
            format!("-----BEGIN CERTIFICATE-----\nBA\n{BLOCK}"),
            with_headers.to_owned(),
        ] {
            assert_eq!(first_block(text.as_bytes()).unwrap(), [1, 2, 3], "{text}");
        }
        let empty = "-----BEGIN X-----\n-----END X-----\n";
        assert_eq!(first_block(empty.as_bytes()).unwrap(), Vec::<u8>::new());
    }

    #[test]
    fn blocks_that_go_refuses() {
        for text in [
            String::new(),
            "AQID".to_owned(),
            format!("text {BLOCK}"),
            BLOCK.replace("-----END CERTIFICATE-----\n", ""),
            BLOCK.replace("END CERTIFICATE", "END OTHER"),
            BLOCK.replace("AQID", "AQ"),
            BLOCK.replace("AQID", "AQ*D"),
            BLOCK.replace("-----END CERTIFICATE-----", "-----END CERTIFICATE----- x"),
        ] {
            assert_eq!(first_block(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn writing_is_read_back() {
        let der: Vec<u8> = (0..=255).collect();
        let text = certificate_block(&der);
        assert!(text.lines().all(|line| line.len() <= 64));
        assert_eq!(first_block(text.as_bytes()).unwrap(), der);
    }
}
