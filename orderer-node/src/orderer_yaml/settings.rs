//! What was written, in the file and over it in the environment, by key; and typed readings of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{OrdererYamlError, Origin};
use super::value;
use super::{collect, keys};
use crate::config::{Contradiction, ListenAddress, NotAnAddress};

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub written: Written,
    pub origin: Origin,
}

/// A value as it was written; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Text(String),
    List(Vec<String>),
}

/// All settings by key. What is not set, or set to nothing, is not there.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) path: PathBuf,
    pub(super) values: BTreeMap<&'static str, Setting>,
}

type Reading<T> = Result<T, OrdererYamlError>;

impl Settings {
    /// An empty set of settings of a file that lies, or would lie, at `path`.
    pub(super) fn of(path: &Path) -> collect::Collection {
        collect::Collection::new(Self { path: path.to_owned(), values: BTreeMap::new() })
    }

    fn setting(&self, key: &str) -> Option<&Setting> {
        // A misspelt key in our own code shows at every start, and so in every test.
        assert!(keys::is_read(key), "{key} is not in the table of keys");
        self.values.get(key)
    }

    pub(super) fn is_set(&self, key: &str) -> bool {
        self.setting(key).is_some()
    }

    /// Where a key was written; the file as a whole if it was not.
    pub(super) fn origin(&self, key: &str) -> Origin {
        self.setting(key).map_or_else(|| Origin::File(self.path.clone()), |setting| setting.origin.clone())
    }

    /// An error about a key, at the place where it was written.
    pub(super) fn wrong(&self, key: &str, why: impl Into<String>) -> OrdererYamlError {
        OrdererYamlError::Value { origin: self.origin(key), key: key.to_owned(), why: why.into() }
    }

    pub(super) fn text(&self, key: &str) -> Reading<Option<&str>> {
        match self.setting(key).map(|setting| &setting.written) {
            None => Ok(None),
            Some(Written::Text(text)) => Ok(Some(text)),
            Some(Written::List(_)) => Err(self.wrong(key, "is a list, one value is expected")),
        }
    }

    /// Reads a text with a parser whose error says what was expected.
    fn parsed<T, E: ToString>(&self, key: &str, parse: impl Fn(&str) -> Result<T, E>) -> Reading<Option<T>> {
        let explain = |text: &str, why: E| self.wrong(key, format!("= {text:?} {}", why.to_string()));
        self.text(key)?.map(|text| parse(text).map_err(|why| explain(text, why))).transpose()
    }

    /// Is it set to true? What is not set is false.
    pub(super) fn is_on(&self, key: &str) -> Reading<bool> {
        self.flag(key, false)
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Reading<bool> {
        Ok(self.parsed(key, value::boolean)?.unwrap_or(default))
    }

    /// A duration. Zero means the default, as it does in Fabric.
    pub(super) fn duration(&self, key: &str, default: Duration) -> Reading<Duration> {
        Ok(self.parsed(key, value::duration)?.filter(|duration| !duration.is_zero()).unwrap_or(default))
    }

    /// A number of bytes up to `max`. Zero means the default, as it does in Fabric.
    pub(super) fn bytes(&self, key: &str, default: usize, max: u32) -> Reading<usize> {
        let bytes = self.parsed(key, value::bytes)?.filter(|&bytes| bytes != 0);
        match bytes.map(u32::try_from) {
            None => Ok(default),
            Some(Ok(bytes)) if bytes <= max => Ok(bytes as usize),
            Some(_) => Err(self.wrong(key, format!("is more than {max} bytes"))),
        }
    }

    pub(super) fn number<N: std::str::FromStr>(&self, key: &str) -> Reading<Option<N>> {
        self.parsed(key, |text| text.parse::<N>().map_err(|_| "is not a number in range"))
    }

    pub(super) fn port(&self, key: &str) -> Reading<Option<u16>> {
        self.parsed(key, |text| text.parse::<u16>().map_err(|_| "is not a port, a number from 0 to 65535"))
    }

    /// A host and a port in one value.
    pub(super) fn address(&self, key: &str) -> Reading<Option<ListenAddress>> {
        self.parsed(key, str::parse::<ListenAddress>)
    }

    /// A host in one key and a port in another.
    pub(super) fn host_and_port(&self, host_key: &str, host: &str, port: u16) -> Reading<ListenAddress> {
        let explain = |_: NotAnAddress| self.wrong(host_key, format!("= {host:?} is neither an IP address nor a name"));
        ListenAddress::new(host, port).map_err(explain)
    }

    /// A path, relative to the file.
    pub(super) fn file(&self, key: &str) -> Reading<Option<PathBuf>> {
        Ok(self.text(key)?.map(|text| self.beside(text)))
    }

    /// Paths, relative to the file.
    pub(super) fn files(&self, key: &str) -> Reading<Vec<PathBuf>> {
        Ok(self.items(key).iter().map(|item| self.beside(item)).collect())
    }

    /// Numbers, as consenters have them.
    pub(super) fn numbers(&self, key: &str) -> Reading<Vec<u32>> {
        let wrong = |item: &String| self.wrong(key, format!("= {item:?} is not the number of a consenter"));
        self.items(key).iter().map(|item| item.trim().parse().map_err(|_| wrong(item))).collect()
    }

    fn items(&self, key: &str) -> Vec<String> {
        match self.setting(key).map(|setting| &setting.written) {
            None => Vec::new(),
            Some(Written::Text(text)) => value::list(text),
            Some(Written::List(items)) => items.clone(),
        }
    }

    /// A path that is written relative to the file.
    pub(super) fn beside(&self, path: &str) -> PathBuf {
        // An absolute path replaces the folder when joined.
        self.path.parent().map_or_else(|| PathBuf::from(path), |folder| folder.join(path))
    }

    /// One of several words, in whatever case.
    pub(super) fn choice<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Reading<Option<T>> {
        let expected = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
        self.parsed(key, |text| {
            let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
            found.map(|&(_, meaning)| meaning).ok_or_else(|| format!("is not {}", expected()))
        })
    }

    /// Names the key at fault as this form of the configuration calls it.
    pub(super) fn consistent(&self, checked: Result<(), Contradiction>) -> Reading<()> {
        checked.map_err(|contradiction| {
            let key = match contradiction {
                Contradiction::RequestTimeout => "BFT.Ordering.RequestTimeout",
                Contradiction::RequestTimeoutMax => "BFT.Ordering.RequestTimeoutMax",
                Contradiction::CheckpointInterval => "BFT.Ordering.CheckpointInterval",
                Contradiction::BatchRequestsMax => "BFT.Ordering.BatchRequestsMax",
                Contradiction::SameSocket => "BFT.Sockets.Status",
                Contradiction::SocketWithoutFrontend => "BFT.Sockets.Broadcast",
            };
            self.wrong(key, contradiction.to_string())
        })
    }
}
