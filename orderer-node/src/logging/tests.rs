//! Whole lines, as they come out.
#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::{Mutex, MutexGuard};

use super::*;

/// Keeps what is written.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    fn lines(&self) -> Vec<String> {
        String::from_utf8(self.bytes().clone()).unwrap().lines().map(str::to_owned).collect()
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap()
    }
}

impl io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines of some events under a specification and a format.
fn written(spec: &str, format: &str, colours: bool, say: impl FnOnce(&LogControl)) -> Vec<String> {
    let paper = Paper::default();
    let copy = paper.clone();
    let (control, subscriber) = subscriber(spec, format, colours, move || copy.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || say(&control));
    paper.lines()
}

fn begin() {
    tracing::info!(target: "orderer_node::node", address = "127.0.0.1:7050", tries = 3, "Beginning to serve requests");
}

#[test]
fn lines_have_fabrics_shape_and_count_up() {
    let lines = written("info", "", false, |_| {
        begin();
        begin();
    });
    let (time, rest) = lines[0].split_once(" UTC ").unwrap();
    assert_eq!(time.len(), "2026-11-22 00:00:00.000".len());
    assert_eq!(
        rest,
        "0001 INFO [orderer.common.server] node -> Beginning to serve requests address=127.0.0.1:7050 tries=3"
    );
    assert!(lines[1].contains(" UTC 0002 INFO "), "{lines:?}");
}

#[test]
fn colours_are_those_of_the_level() {
    let lines =
        written("info", "%{color}%{level:.4s}%{color:reset} %{color:bold}%{message}%{color:reset}", true, |_| {
            tracing::warn!("careful");
        });
    assert_eq!(lines, ["\x1b[33mWARN\x1b[0m \x1b[33;1mcareful\x1b[0m"]);
}

#[test]
fn json_has_what_every_line_has_and_the_fields() {
    let lines = written("info", "json", false, |_| {
        begin();
        tracing::info!(msg = "hidden", reason = "a \"b\"", "shown");
    });
    let first: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!((&first["level"], &first["name"]), (&"info".into(), &"orderer.common.server".into()));
    assert_eq!((&first["msg"], &first["tries"]), (&"Beginning to serve requests".into(), &3.into()));
    assert!(first["ts"].as_f64().unwrap() > 1.7e9 && first["caller"].as_str().unwrap().contains("tests.rs:"));
    let second: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
    assert_eq!((&second["msg"], &second["reason"]), (&"shown".into(), &"a \"b\"".into()));
}

#[test]
fn logfmt_quotes_what_is_not_one_word() {
    let lines = written("info", "logfmt", false, |_| tracing::info!(target: "msp", why = "x y", "two words"));
    assert!(lines[0].starts_with("ts=") && lines[0].ends_with(" msg=\"two words\" why=\"x y\""), "{lines:?}");
    assert!(lines[0].contains(" level=info name=msp caller="), "{lines:?}");
}

#[test]
fn the_specification_is_replaced_while_the_log_runs() {
    let lines = written("orderer.common.broadcast=debug:warn", "%{module} %{message}", false, |control| {
        let say = || {
            tracing::debug!(target: "frontend_shim::broadcast", "one");
            tracing::info!(target: "frontend_shim::deliver", "two");
        };
        say();
        control.set_spec("common.deliver=info:error").unwrap();
        assert_eq!(control.spec(), "common.deliver=info:error");
        say();
        let error = control.set_spec("nonsense").unwrap_err();
        assert_eq!(error.to_string(), "invalid logging specification 'nonsense': bad segment 'nonsense'");
        say();
        let [_, debug, info, ..] = control.counts().by_level();
        assert_eq!((debug.2, info.2), (1, 2));
    });
    assert_eq!(lines, ["orderer.common.broadcast one", "common.deliver two", "common.deliver two"]);
}

/// As Fabric counts: what no logger writes is not looked at.
#[test]
fn entries_are_counted_by_level_and_those_that_only_another_logger_would_write_count_as_checked() {
    written("info:orderer.common.server=debug", "", false, |control| {
        for _ in 0..3 {
            begin();
            tracing::debug!(target: "orderer_node::node", "ours");
            tracing::debug!(target: "orderer_node::elsewhere", "not ours");
            tracing::trace!(target: "orderer_node::node", "nobody's");
        }
        tracing::error!("anybody's");
        let expected = [("payload", 0, 0), ("debug", 6, 3), ("info", 3, 3), ("warn", 0, 0), ("error", 1, 1)];
        assert_eq!(control.counts().by_level(), expected);
        control.set_spec("fatal").unwrap();
        begin();
        assert_eq!(control.counts().by_level(), expected);
    });
}

#[test]
fn what_is_wrong_with_the_environment_is_named() {
    let refusal = |spec, format| subscriber(spec, format, false, io::sink).err().unwrap().to_string();
    assert_eq!(refusal("loud", ""), "FABRIC_LOGGING_SPEC: invalid logging specification 'loud': bad segment 'loud'");
    assert!(refusal("info", "%{color:red}").starts_with("FABRIC_LOGGING_FORMAT: '%{color:red}' is not a format"));
}

proptest::proptest! {
    #[test]
    fn no_specification_and_no_format_makes_the_log_panic(spec in ".{0,40}", option in "[-0-9a-zA-Z.,: ]{0,20}") {
        let _ = spec.parse::<Spec>();
        for verb in ["id", "level", "message", "module", "time"] {
            let format = format!("%{{{verb}:{option}}}{spec}");
            if format.parse::<Format>().is_ok() {
                proptest::prop_assert_eq!(written("info", &format, false, |_| begin()).is_empty(), false);
            }
        }
    }
}
