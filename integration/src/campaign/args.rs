//! What is asked for on the command line of the `campaign` program.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use frontend_shim::group_settings::WrittenSettings;

use super::absent::{AbsentPlan, absent};
use super::figures::Figures;
use super::hand_over::{HandOverPlan, hand_over};
use super::killings::{KillingsPlan, killings};
use super::leader::{LeaderFault, LeaderPlan, leader};
use super::quiet::{QuietPlan, quiet};
use super::wiped::{WipedPlan, wiped};
use crate::client::LoadPlan;

/// Do to four real nodes what the world does to them, and judge the outcome from outside.
#[derive(Clone, Debug, Parser)]
#[command(name = "campaign", version)]
pub struct CampaignArgs {
    #[command(subcommand)]
    campaign: Campaign,
}

#[derive(Clone, Debug, Subcommand)]
enum Campaign {
    /// SIGKILL the leader under load, again and again; it comes back and takes part again
    KillLeader(LeaderArgs),
    /// SIGSTOP the leader under load, again and again; SIGCONT it later
    StopLeader(LeaderArgs),
    /// Let each node in turn give the lead to the next one, under load
    HandOver(HandOverArgs),
    /// Remove everything that a node has stored, under load
    Wipe(WipeArgs),
    /// SIGKILL all nodes, and some of them, at random points under load
    KillAll(KillAllArgs),
    /// Keep a node down for thousands of blocks; it catches up while the others go on
    CatchUp(CatchUpArgs),
    /// Half load while another program takes a processor: no regency may change
    Quiet(QuietArgs),
}

#[derive(Clone, Copy, Debug, Args)]
struct LoadArgs {
    /// Envelopes per second to each frontend
    #[arg(long, value_name = "R", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Bytes of data in an envelope
    #[arg(long, value_name = "BYTES", default_value_t = 200)]
    size: usize,
}

#[derive(Clone, Copy, Debug, Args)]
struct LeaderArgs {
    /// How many leaders, one after another
    #[arg(long, value_name = "N", default_value_t = 20)]
    rounds: u32,
    /// How long each stays away after the others order again
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    away: u64,
    #[command(flatten)]
    load: LoadArgs,
}

#[derive(Clone, Copy, Debug, Args)]
struct HandOverArgs {
    /// How many leaders, one after another: one leader can do it once a minute
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=4))]
    rounds: u32,
    #[command(flatten)]
    load: LoadArgs,
}

#[derive(Clone, Copy, Debug, Args)]
struct WipeArgs {
    /// How many disks, one after another
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: u32,
    /// Blocks that there are when the first is lost
    #[arg(long, value_name = "N", default_value_t = 500)]
    blocks: u64,
    #[command(flatten)]
    load: LoadArgs,
}

#[derive(Clone, Copy, Debug, Args)]
struct KillAllArgs {
    /// How often all nodes are killed
    #[arg(long, value_name = "N", default_value_t = 50)]
    rounds: u32,
    /// Repeats the choices of an earlier campaign [default: a new one]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// How many decisions may be under way at once
    #[arg(long, value_name = "N")]
    window: Option<u64>,
    /// Let blocks leave before they are decided
    #[arg(long)]
    tentative: bool,
    #[command(flatten)]
    load: LoadArgs,
}

#[derive(Clone, Copy, Debug, Args)]
struct CatchUpArgs {
    /// Blocks that the node misses
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    blocks: u64,
    /// Envelopes in a block at most
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    block_envelopes: u32,
    /// Memory that it may have in use, MiB
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    memory: u64,
    #[command(flatten)]
    load: LoadArgs,
}

#[derive(Clone, Copy, Debug, Args)]
struct QuietArgs {
    /// For how long
    #[arg(long, value_name = "MINUTES", default_value_t = 10)]
    minutes: u64,
    /// Seconds of full load first, to know what half of it is
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    calibration: u64,
}

impl CampaignArgs {
    /// Runs what is asked for.
    ///
    /// # Errors
    /// What is not as it should be.
    pub async fn run(self) -> anyhow::Result<Figures> {
        match self.campaign {
            Campaign::KillLeader(args) => leader(&args.plan(LeaderFault::Kill)).await,
            Campaign::StopLeader(args) => leader(&args.plan(LeaderFault::Stop)).await,
            Campaign::HandOver(HandOverArgs { rounds, load }) => {
                let gap_max = mod_smart::Limits::default().request_timeout;
                hand_over(&HandOverPlan { rounds, load: load.plan(), gap_max }).await
            }
            Campaign::Wipe(WipeArgs { rounds, blocks, load }) => {
                wiped(&WipedPlan { rounds, blocks_before: blocks, load: load.plan() }).await
            }
            Campaign::KillAll(KillAllArgs { rounds, seed, window, tentative, load }) => {
                let seed = seed.unwrap_or_else(|| fastrand::u64(..));
                let settings = WrittenSettings { window, tentative: Some(tentative), ..WrittenSettings::default() };
                killings(&KillingsPlan { rounds, seed, load: load.plan(), settings }).await
            }
            Campaign::CatchUp(args) => absent(&args.plan()).await,
            Campaign::Quiet(QuietArgs { minutes, calibration }) => {
                let time = Duration::from_secs(60 * minutes);
                quiet(&QuietPlan { time, calibration: Duration::from_secs(calibration) }).await
            }
        }
    }
}

impl LoadArgs {
    const fn plan(self) -> LoadPlan {
        LoadPlan { rate_per_s: self.rate, data_bytes: self.size }
    }
}

impl LeaderArgs {
    fn plan(self, fault: LeaderFault) -> LeaderPlan {
        let promise = LeaderPlan::promise();
        let away = Duration::from_secs(self.away);
        let Self { rounds, load, .. } = self;
        LeaderPlan { fault, rounds, away, load: load.plan(), gap_max: promise, gap_median_max: promise }
    }
}

impl CatchUpArgs {
    fn plan(self) -> AbsentPlan {
        AbsentPlan {
            blocks: self.blocks,
            message_count_max: self.block_envelopes,
            load: self.load.plan(),
            resident_bytes_max: self.memory << 20,
            patience: PATIENCE,
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(600);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_a_meaning_and_nonsense_is_refused() {
        let parse = |line: &str| CampaignArgs::try_parse_from(line.split_ascii_whitespace());
        for name in ["kill-leader", "stop-leader", "hand-over", "wipe", "kill-all", "catch-up", "quiet"] {
            parse(&format!("campaign {name}")).unwrap();
        }
        for line in ["campaign", "campaign other", "campaign quiet --rate 5", "campaign wipe --rate 0"] {
            parse(line).unwrap_err();
        }
        let Campaign::KillAll(args) = parse("campaign kill-all --seed 7 --rounds 9").unwrap().campaign else {
            unreachable!("another campaign was named")
        };
        assert_eq!((args.seed, args.rounds, args.load.rate), (Some(7), 9, 100));
    }
}
