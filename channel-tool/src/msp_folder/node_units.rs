//! `config.yaml` of an MSP folder: organizational units and the roles they stand for.
//!
//! The file is written by tools or copied from examples, always in YAML's block style with one key on a line. Only
//! that style is read; anything else is an error that names its line.

use std::path::Path;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use fabric_proto::msp::{FabricNodeOUs, FabricOuIdentifier};

use crate::files;

/// What the file says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Units {
    pub(super) organizational_unit_identifiers: Vec<FabricOuIdentifier>,
    /// Absent unless they are enabled.
    pub(super) node_ous: Option<FabricNodeOUs>,
}

/// Reads the file of an MSP folder; without one there are no units.
pub(super) fn read(folder: &Path) -> anyhow::Result<Units> {
    let path = folder.join("config.yaml");
    if !path.exists() {
        return Ok(Units::default());
    }
    let name = || path.display().to_string();
    let bytes = files::read(&path)?;
    let text = std::str::from_utf8(&bytes).with_context(name)?;
    parse(text, |certificate| files::read(&folder.join(certificate))).with_context(name)
}

fn parse(text: &str, read_certificate: impl Fn(&str) -> anyhow::Result<Bytes>) -> anyhow::Result<Units> {
    let mut units = Units::default();
    let mut node_ous = FabricNodeOUs::default();
    for Entry { line, path, value } in entries(text)? {
        let keys: Vec<&str> = path.iter().map(String::as_str).collect();
        let (unit, field) = match keys[..] {
            ["NodeOUs" | "OrganizationalUnitIdentifiers"] if value.is_empty() => continue,
            ["NodeOUs", "Enable"] => {
                node_ous.enable = value.parse().with_context(|| format!("line {line}: Enable is true or false"))?;
                continue;
            }
            ["NodeOUs", role] | ["NodeOUs", role, _] => {
                let unit = match role {
                    "ClientOUIdentifier" => &mut node_ous.client_ou_identifier,
                    "PeerOUIdentifier" => &mut node_ous.peer_ou_identifier,
                    "AdminOUIdentifier" => &mut node_ous.admin_ou_identifier,
                    "OrdererOUIdentifier" => &mut node_ous.orderer_ou_identifier,
                    _ => bail!("line {line}: the key {role} is not known"),
                };
                (unit.get_or_insert_default(), keys.get(2).copied())
            }
            ["OrganizationalUnitIdentifiers", item, field] if item.starts_with('-') => {
                let (list, position) = (&mut units.organizational_unit_identifiers, item.len() - 1);
                if list.len() <= position {
                    list.resize_with(position + 1, FabricOuIdentifier::default);
                }
                (&mut list[position], Some(field))
            }
            _ => bail!("line {line}: the key {} is not known", keys.join(".")),
        };
        match field {
            None if value.is_empty() => {}
            Some("Certificate") if value.is_empty() => {}
            Some("Certificate") => {
                unit.certificate = read_certificate(&value).with_context(|| format!("line {line}"))?;
            }
            Some("OrganizationalUnitIdentifier") => unit.organizational_unit_identifier = value,
            _ => bail!("line {line}: the key {} is not known", keys.join(".")),
        }
    }
    units.node_ous = node_ous.enable.then_some(node_ous);
    Ok(units)
}

/// One line with a key: all keys above it, and its value, which may be empty.
#[derive(Debug)]
struct Entry {
    line: usize,
    path: Vec<String>,
    value: String,
}

fn entries(text: &str) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    // Keys with their indentation counted twice; the mark of a list item stands one deeper than its column, because it
    // may stand below its list without indentation. Item n is named by n + 1 dashes.
    let mut open: Vec<(usize, String)> = Vec::new();
    let mut items = 0;
    for (line, raw) in (1..).zip(text.lines().take(LINES_MAX)) {
        let content = without_comment(raw).trim_end();
        let mut rest = content.trim_start_matches(' ');
        let mut column = content.len() - rest.len();
        if rest.is_empty() || rest == "---" {
            continue;
        }
        if let Some(item) = rest.strip_prefix("- ") {
            open.retain(|(depth, _)| *depth < 2 * column + 1);
            items = if open.len() == 1 { items + 1 } else { bail!("line {line}: a list is not expected here") };
            open.push((2 * column + 1, "-".repeat(items)));
            rest = item.trim_start_matches(' ');
            column = content.len() - rest.len();
        }
        let colon = rest.find(':').filter(|at| matches!(rest.as_bytes().get(at + 1), None | Some(b' ')));
        let Some(colon) = colon else {
            bail!("line {line}: `Key: value` is expected");
        };
        open.retain(|(depth, _)| *depth < 2 * column);
        open.push((2 * column, rest[..colon].to_owned()));
        let path = open.iter().map(|(_, key)| key.clone()).collect();
        entries.push(Entry { line, path, value: unquoted(rest[colon + 1..].trim()).to_owned() });
    }
    Ok(entries)
}

/// A comment begins at `#` at the start of a line or after a space.
fn without_comment(line: &str) -> &str {
    let is_comment = |at: &usize| *at == 0 || line.as_bytes().get(at - 1) == Some(&b' ');
    line.match_indices('#').map(|(at, _)| at).find(is_comment).map_or(line, |at| &line[..at])
}

fn unquoted(value: &str) -> &str {
    let within = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    within('"').or_else(|| within('\'')).unwrap_or(value)
}

const LINES_MAX: usize = 1000;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn units(text: &str) -> anyhow::Result<Units> {
        parse(text, |name| Ok(Bytes::copy_from_slice(name.as_bytes())))
    }

    #[test]
    fn node_units_and_plain_units_are_read() {
        let text = "# roles\nNodeOUs:\n  Enable: true # on\n  ClientOUIdentifier:\n    Certificate: \"cacerts/a.pem\"\n    \
                    OrganizationalUnitIdentifier: client\n  AdminOUIdentifier:\n    OrganizationalUnitIdentifier: 'boss'\n\
                    OrganizationalUnitIdentifiers:\n- Certificate: b.pem\n  OrganizationalUnitIdentifier: one\n\
                    - Certificate: c.pem\n  OrganizationalUnitIdentifier: two\n";
        let units = units(text).unwrap();
        let node_ous = units.node_ous.unwrap();
        assert_eq!(&node_ous.client_ou_identifier.unwrap().certificate[..], b"cacerts/a.pem");
        assert_eq!(node_ous.admin_ou_identifier.unwrap().organizational_unit_identifier, "boss");
        assert_eq!(node_ous.peer_ou_identifier, None);
        let names: Vec<_> =
            units.organizational_unit_identifiers.iter().map(|unit| &unit.organizational_unit_identifier[..]).collect();
        assert_eq!(names, ["one", "two"]);
        assert_eq!(&units.organizational_unit_identifiers[1].certificate[..], b"c.pem");
    }

    #[test]
    fn units_that_are_off_are_absent() {
        assert_eq!(units("NodeOUs:\n  Enable: false\n").unwrap(), Units::default());
        assert_eq!(units("").unwrap(), Units::default());
    }

    #[test]
    fn other_content_is_an_error_with_its_line() {
        for (text, line) in [
            ("NodeOUs:\n  Enabled: true\n", "line 2"),
            ("NodeOUs: {Enable: true}\n", "line 1"),
            ("\nnothing\n", "line 2"),
            ("- a: b\n", "line 1"),
            ("NodeOUs:\n  Enable: yes\n", "line 2"),
        ] {
            let error = format!("{:#}", units(text).unwrap_err());
            assert!(error.contains(line), "{text}: {error}");
        }
    }
}
