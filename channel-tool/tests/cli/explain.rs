//! `channel explain`.

use super::call;

#[test]
fn an_unsigned_update_is_explained() {
    let report = call("explain --config {b}/bft/genesis.block --update {d}/bft/config_update_envelope_unsigned.pb")
        .fails_with("would be refused now: policy for value /Channel/Orderer/BatchSize not satisfied");
    let expected = "\
update of channel bftch, against config sequence 0
signatures: 0
changes
  ~ value /Channel/Orderer/BatchSize
      old: max messages 10, absolute bytes 10485760, preferred bytes 2097152
      new: max messages 20, absolute bytes 10485760, preferred bytes 2097152
who has to sign
  /Channel/Orderer/Admins: MAJORITY Admins
    for value /Channel/Orderer/BatchSize
    not satisfied: needs Admins of 1 of OrdererOrg: 0 signed, missing 1 of OrdererOrg (1 of (an admin of OrdererMSP))
";
    assert_eq!(report, expected);
}

#[test]
fn an_update_that_peer_channel_signconfigtx_signed_would_be_accepted() {
    let report =
        call("explain --config {b}/bft/genesis.block --update {d}/bft/config_update_envelope_signed.pb").succeeds();
    for line in [
        "signatures: 1",
        "  OrdererMSP/Admin@orderer.example.com: good, until 2036-11-18",
        "    satisfied: needs Admins of 1 of OrdererOrg: 1 signed (OrdererOrg)",
        "sender: the outer envelope is signed by a writer",
        "verdict: the update would be accepted",
    ] {
        assert!(report.lines().any(|found| found == line), "{line}\n{report}");
    }
}

#[test]
fn an_update_from_another_time_or_channel_is_refused_whoever_signs() {
    let report = call("explain --config {b}/bft/config_after.block --update {d}/bft/config_update_envelope_signed.pb")
        .fails_with("would be refused whoever signs it: value /Channel/Orderer/BatchSize has version 1");
    let stale = "not made from this configuration\n  value /Channel/Orderer/BatchSize: written as version 1, has to become 2 now\n";
    assert!(report.ends_with(stale), "{report}");
    call("explain --config {b}/bft/genesis.block --update {d}/raft/config_update.pb")
        .fails_with("the update is for channel \"raftch\", not for \"bftch\"");
    call("explain --config {b}/bft/genesis.block --update {b}/bft/genesis.block").fails_with("neither a CONFIG_UPDATE");
    call("explain --config {d}/raft/config_update.pb --update {d}/raft/config_update.pb")
        .fails_with("an update where a configuration is expected");
    assert_eq!(call("explain --config x").code, 2);
}
