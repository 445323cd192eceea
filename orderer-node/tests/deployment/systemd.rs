//! The systemd unit: it starts this program, which may write where it has to and nothing else.

use std::path::Path;
use std::process::Command;

use super::understood;
use super::unit::Unit;

#[test]
fn it_calls_a_command_that_the_program_has() {
    let unit = Unit::read();
    let mut words = unit.of_service("ExecStart").split_whitespace();
    assert_eq!(words.next(), Some("/usr/local/bin/orderer"));
    let arguments: Vec<&str> = words.collect();
    let taken = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_orderer")).args(arguments).arg("--help").output().unwrap().status
    };
    assert!(taken(&arguments).success(), "{arguments:?}");
    // Wrong arguments end it with a status after which it is not started again.
    let wrong = Command::new(env!("CARGO_BIN_EXE_orderer")).arg("begin").output().unwrap().status;
    assert_eq!(wrong.code().unwrap().to_string(), unit.of_service("RestartPreventExitStatus"));
}

#[test]
fn it_may_write_its_data_and_its_socket_and_nothing_else() {
    let unit = Unit::read();
    let config = understood(&unit.environment()).config;
    assert_eq!(unit.of_service("ProtectSystem"), "strict");
    assert_eq!(Path::new(unit.of_service("ReadWritePaths")), config.data_dir);
    assert_eq!(config.journal_dir, None);
    let socket = config.sockets.status.unwrap();
    assert_eq!(socket.parent().unwrap(), Path::new("/run").join(unit.of_service("RuntimeDirectory")));
    assert_eq!(unit.of_service("UMask"), "0077");
}

#[test]
fn it_is_hardened() {
    let unit = Unit::read();
    let on = [
        "LockPersonality",
        "MemoryDenyWriteExecute",
        "NoNewPrivileges",
        "PrivateDevices",
        "PrivateTmp",
        "ProtectClock",
        "ProtectControlGroups",
        "ProtectHome",
        "ProtectHostname",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "ProtectKernelTunables",
        "RemoveIPC",
        "RestrictNamespaces",
        "RestrictRealtime",
        "RestrictSUIDSGID",
    ];
    for key in on {
        assert_eq!(unit.of_service(key), "yes", "{key}");
    }
    assert_eq!((unit.of_service("CapabilityBoundingSet"), unit.of_service("AmbientCapabilities")), ("", ""));
    assert_eq!(unit.of_service("RestrictAddressFamilies"), "AF_INET AF_INET6 AF_UNIX");
    assert_eq!(unit.of_service("SystemCallArchitectures"), "native");
    assert_eq!(unit.all("Service", "SystemCallFilter"), ["@system-service", "~@privileged @resources"]);
}

#[test]
fn it_is_started_again_after_a_fault_but_not_for_ever() {
    let unit = Unit::read();
    assert_eq!(unit.of_service("Restart"), "on-failure");
    let number = |section: &str, key: &str| unit.all(section, key)[0].parse::<u32>().unwrap();
    let tried = number("Unit", "StartLimitBurst") * number("Service", "RestartSec");
    assert!(tried < number("Unit", "StartLimitIntervalSec"), "the limit is never reached");
    assert_eq!(unit.all("Install", "WantedBy"), ["multi-user.target"]);
    // Its clients alone may be this many.
    assert!(number("Service", "LimitNOFILE") > orderer_node::listener::GRPC_CONNECTIONS_MAX as u32);
}
