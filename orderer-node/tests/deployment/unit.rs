//! The systemd unit as settings in sections.

use super::{Variables, config};

/// A unit file.
#[derive(Debug)]
pub struct Unit(Vec<(String, String, String)>);

impl Unit {
    pub fn read() -> Self {
        Self::parse(&config("orderer.service"))
    }

    fn parse(text: &str) -> Self {
        let (mut section, mut settings) = (String::new(), Vec::new());
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                Some(name) => name.clone_into(&mut section),
                None => {
                    let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{line:?} is no setting"));
                    settings.push((section.clone(), key.to_owned(), value.to_owned()));
                }
            }
        }
        Self(settings)
    }

    /// The values of a key, in their order.
    pub fn all(&self, section: &str, key: &str) -> Vec<&str> {
        let of_key = self.0.iter().filter(|(in_section, name, _)| in_section == section && name == key);
        of_key.map(|(_, _, value)| value.as_str()).collect()
    }

    /// The only value of a key of the service.
    pub fn of_service(&self, key: &str) -> &str {
        let found = self.all("Service", key);
        assert_eq!(found.len(), 1, "{key}");
        found[0]
    }

    /// The variables that it sets.
    pub fn environment(&self) -> Variables {
        let pairs = self.all("Service", "Environment").into_iter().map(|pair| pair.split_once('=').unwrap());
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

#[test]
fn settings_are_read_with_their_sections() {
    let unit = Unit::parse("# x\n[Unit]\nAfter=a\n\n[Service]\nAfter=b\nEnvironment=A=b=c\nEmpty=\n");
    assert_eq!((unit.all("Unit", "After"), unit.of_service("After"), unit.of_service("Empty")), (vec!["a"], "b", ""));
    assert_eq!(unit.environment(), [("A".to_owned(), "b=c".to_owned())]);
}
