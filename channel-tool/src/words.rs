//! Policies, identities and values in words that administrators use.

mod policy;
mod value;

pub(crate) use policy::policy_entry;
pub(crate) use value::value_lines;

use std::fmt::{self, Write as _};

use fabric_channel::Certificate;
use fabric_proto::msp::SerializedIdentity;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::time;

/// Appends a line to a report.
macro_rules! line {
    ($report:expr, $($part:tt)*) => {
        crate::words::push_line($report, format_args!($($part)*))
    };
}
pub(crate) use line;

/// `OrdererMSP/o1.orderer.example.com` out of a marshalled `SerializedIdentity`.
pub(crate) fn identity(serialised: &[u8]) -> String {
    match SerializedIdentity::decode(serialised) {
        _ if serialised.is_empty() => "nobody".to_owned(),
        Ok(identity) => match Certificate::from_pem(&identity.id_bytes) {
            Ok(certificate) => format!("{}/{}", identity.mspid, name(&certificate)),
            Err(_) => format!("{}/(unreadable certificate)", identity.mspid),
        },
        Err(_) => "an unreadable identity".to_owned(),
    }
}

/// The common name of a certificate's subject, or the whole subject if it has none.
pub(crate) fn name(certificate: &Certificate) -> &str {
    let subject = certificate.subject_text();
    let parts = subject.split(", ").filter_map(|part| part.trim().strip_prefix("CN="));
    parts.last().unwrap_or(subject)
}

/// The first octets of SHA-256 over the public key.
pub(crate) fn fingerprint(certificate: &Certificate) -> String {
    let hash = Sha256::digest(certificate.spki_der());
    hex::encode(&hash[..FINGERPRINT_OCTETS])
}

/// `until 2036-11-18`, or that it has expired.
pub(crate) fn expiry(certificate: &Certificate) -> String {
    let end = certificate.not_after_unix_s();
    let date = time::date(end);
    if end < time::now_unix_s() { format!("EXPIRED on {date}") } else { format!("until {date}") }
}

/// A PEM certificate in words: name, key and expiry.
fn certificate(pem: &[u8]) -> String {
    match Certificate::from_pem(pem) {
        Ok(certificate) => {
            format!("{}, key {}, {}", name(&certificate), fingerprint(&certificate), expiry(&certificate))
        }
        Err(error) => format!("unreadable: {error}"),
    }
}

/// Appends a line. Files come from anywhere, so names in them must not be able to end it or to talk to the terminal.
pub(crate) fn push_line(report: &mut String, line: fmt::Arguments<'_>) {
    report.push_str(&printable(&line.to_string()));
    report.push('\n');
}

/// A text without control characters.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter }).collect()
}

/// A text with each line moved to the right.
pub(crate) fn indented(text: &str, depth: usize) -> String {
    text.lines().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "{:1$}{line}", "", 2 * depth);
        out
    })
}

const FINGERPRINT_OCTETS: usize = 8;
