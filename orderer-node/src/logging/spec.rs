//! Which lines are written: Fabric's specification of levels by logger.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use tracing::Level;
use tracing_subscriber::filter::LevelFilter;

/// Levels by logger, and the level of all other loggers.
///
/// Written `[<logger>[,<logger>...]=]<level>`, several of them separated by colons. A logger stands for all below it
/// (`orderer` for `orderer.common.broadcast`); with a final dot it stands for itself only. Of several that fit, the
/// longest counts. A level without logger is that of all others; without one it is `info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    loggers: BTreeMap<String, Threshold>,
    others: Threshold,
}

/// Text that is not a specification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid logging specification '{spec}': {why}")]
pub struct SpecError {
    spec: String,
    why: String,
}

/// The least level that is written. Beyond `error` Fabric has levels for what ends the process; nothing here is logged at
/// those, so they silence everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Threshold {
    Payload,
    Debug,
    Info,
    Warn,
    Error,
    Dpanic,
    Panic,
    Fatal,
}

impl Spec {
    /// Is a line of this logger at this level written?
    #[must_use]
    pub fn allows(&self, logger: &str, level: Level) -> bool {
        self.threshold(logger).filter() >= level
    }

    /// A level that lets through whatever some logger lets through.
    #[must_use]
    pub fn most_verbose(&self) -> LevelFilter {
        self.loggers.values().map(|level| level.filter()).fold(self.others.filter(), LevelFilter::max)
    }

    fn threshold(&self, logger: &str) -> Threshold {
        let exact = format!("{logger}.");
        let mut candidate = exact.as_str();
        loop {
            if let Some(&level) = self.loggers.get(candidate) {
                return level;
            }
            match candidate.rfind('.') {
                Some(end) if end > 0 => candidate = &candidate[..end],
                _ => return self.others,
            }
        }
    }
}

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let wrong = |why: String| SpecError { spec: text.to_owned(), why };
        let mut spec = Self { loggers: BTreeMap::new(), others: Threshold::Info };
        for segment in text.split(':') {
            let bad = || wrong(format!("bad segment '{segment}'"));
            match segment.split_once('=') {
                None if segment.is_empty() => spec.others = Threshold::Info,
                None => spec.others = Threshold::of_name(segment).ok_or_else(bad)?,
                Some(("", _)) => return Err(wrong(format!("no logger specified in segment '{segment}'"))),
                Some((loggers, level)) => {
                    let level = Threshold::of_name(level).ok_or_else(bad)?;
                    for logger in loggers.split(',') {
                        if !is_logger(logger.strip_suffix('.').unwrap_or(logger)) {
                            return Err(wrong(format!("bad logger name '{logger}'")));
                        }
                        spec.loggers.insert(logger.to_owned(), level);
                    }
                }
            }
        }
        Ok(spec)
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (logger, level) in &self.loggers {
            write!(f, "{logger}={}:", level.name())?;
        }
        f.write_str(self.others.name())
    }
}

impl Threshold {
    /// Names are all lower or all upper case, as in Fabric.
    fn of_name(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        if name != lower && name != name.to_ascii_uppercase() {
            return None;
        }
        Some(match lower.as_str() {
            "payload" => Self::Payload,
            "debug" => Self::Debug,
            "info" | "notice" => Self::Info,
            "warn" | "warning" => Self::Warn,
            "error" | "critical" => Self::Error,
            "dpanic" => Self::Dpanic,
            "panic" => Self::Panic,
            "fatal" => Self::Fatal,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Payload => "payload",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Dpanic => "dpanic",
            Self::Panic => "panic",
            Self::Fatal => "fatal",
        }
    }

    const fn filter(self) -> LevelFilter {
        match self {
            Self::Payload => LevelFilter::TRACE,
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warn => LevelFilter::WARN,
            Self::Error => LevelFilter::ERROR,
            Self::Dpanic | Self::Panic | Self::Fatal => LevelFilter::OFF,
        }
    }
}

/// Words of letters, digits and `_#-`, separated by dots.
fn is_logger(name: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'#' | b'-'))
    };
    name.split('.').all(is_word)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn spec(text: &str) -> Spec {
        text.parse().unwrap()
    }

    #[test]
    fn specifications_have_a_canonical_form() {
        for (text, canonical) in [
            ("info", "info"),
            ("INFO", "info"),
            ("", "info"),
            ("WARNING", "warn"),
            ("orderer.consensus=debug:warn", "orderer.consensus=debug:warn"),
            ("a,b=debug:info", "a=debug:b=debug:info"),
            ("b=error:a.=fatal", "a.=fatal:b=error:info"),
            ("debug:info", "info"),
            ("debug:", "info"),
            ("a=debug:a=error", "a=error:info"),
            ("notice:critical", "error"),
            (
                "debug:cauthdsl,policies,msp,common.configtx,common.channelconfig=info",
                "cauthdsl=info:common.channelconfig=info:common.configtx=info:msp=info:policies=info:debug",
            ),
        ] {
            assert_eq!(spec(text).to_string(), canonical, "{text}");
            assert_eq!(spec(canonical).to_string(), canonical);
        }
    }

    #[test]
    fn what_is_no_specification_is_refused_in_fabrics_words() {
        for (text, why) in [
            ("foo", "bad segment 'foo'"),
            ("Info", "bad segment 'Info'"),
            ("=debug", "no logger specified in segment '=debug'"),
            ("a=", "bad segment 'a='"),
            ("a=b", "bad segment 'a=b'"),
            ("a=debug=info", "bad segment 'a=debug=info'"),
            (".a=debug", "bad logger name '.a'"),
            ("a,,b=debug", "bad logger name ''"),
            ("a b=debug", "bad logger name 'a b'"),
            ("a..=debug", "bad logger name 'a..'"),
        ] {
            let error = text.parse::<Spec>().unwrap_err().to_string();
            assert_eq!(error, format!("invalid logging specification '{text}': {why}"));
        }
    }

    #[test]
    fn the_longest_fitting_logger_counts() {
        let spec = spec("a=debug:a.b=error:a.c.=payload:warn");
        for (logger, level) in [
            ("a", Level::DEBUG),
            ("a.x.y", Level::DEBUG),
            ("a.b", Level::ERROR),
            ("a.b.x", Level::ERROR),
            ("a.c", Level::TRACE),
            ("a.c.x", Level::DEBUG),
            ("ab", Level::WARN),
            ("", Level::WARN),
        ] {
            assert!(spec.allows(logger, level), "{logger} {level}");
            let below = [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR];
            let more = below.into_iter().filter(|other| *other > level);
            assert!(!more.into_iter().any(|other| spec.allows(logger, other)), "{logger} {level}");
        }
        assert_eq!(spec.most_verbose(), LevelFilter::TRACE);
        assert!(!super::Spec::from_str("fatal").unwrap().allows("a", Level::ERROR));
    }
}
