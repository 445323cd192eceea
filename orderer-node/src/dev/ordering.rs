//! What is asked for on the command line about what the nodes of a network share.
//!
//! Every option may be left away. At the first start that means its default; later it means what the network was made with.

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use fabric_channel::ChannelConfig;
use frontend_shim::group_settings::{FaultModel, GroupSettings, WrittenSettings};

use super::network_file::NetworkFile;

/// What the members of the ordering group share, in the words of [`crate::config`].
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderingOptions {
    /// What faulty nodes may do [default: byzantine]
    #[arg(long, value_name = "MODEL", value_enum)]
    pub fault_model: Option<FaultModelOption>,
    /// Spare nodes: with N of them a network of 3f + 1 + N nodes has weights [default: 0]
    #[arg(long, value_name = "N")]
    pub delta: Option<usize>,
    /// Ids of the nodes that weigh more, as 1,2
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub heavy: Option<Vec<u32>>,
    /// Ids of the nodes that lead first, in this order, as 3,1
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub leaders: Option<Vec<u32>>,
    /// How many decisions may be under way at once
    #[arg(long, value_name = "N")]
    pub window: Option<u64>,
    /// Let blocks leave before they are decided
    #[arg(long)]
    pub tentative: bool,
}

/// What a faulty node may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FaultModelOption {
    /// Anything.
    Byzantine,
    /// Fall silent.
    Crash,
}

impl OrderingOptions {
    /// The settings that the nodes get: those asked for, or those of an earlier start of the same network.
    ///
    /// # Errors
    /// They contradict themselves, do not fit the consenters of the channel, or are not those of an earlier start.
    pub(super) fn settings(
        &self,
        config: &ChannelConfig,
        earlier: Option<&NetworkFile>,
    ) -> anyhow::Result<GroupSettings> {
        let before = earlier.map(|network| network.ordering.clone());
        if *self == Self::default() {
            return Ok(before.unwrap_or_default());
        }
        let asked =
            GroupSettings::try_from(self.written()).map_err(|flaw| anyhow::anyhow!("--{} {flaw}", flaw.key()))?;
        let ids: Vec<u32> = config.consenters().iter().map(|consenter| consenter.id).collect();
        if let Some(misfit) = asked.settle(&ids).misfit {
            return Err(misfit).context("--heavy");
        }
        if let Some(stranger) = asked.leaders().iter().find(|id| !ids.contains(id)) {
            bail!("--leaders names consenter {stranger}, which the channel does not have");
        }
        if let Some(difference) = before.as_ref().and_then(|before| asked.difference(before)) {
            bail!(
                "the network was made with other settings (here: now, there: then): {difference}; choose another --data"
            );
        }
        Ok(asked)
    }

    fn written(&self) -> WrittenSettings {
        WrittenSettings {
            fault_model: self.fault_model.map(|model| match model {
                FaultModelOption::Byzantine => FaultModel::Byzantine,
                FaultModelOption::Crash => FaultModel::Crash,
            }),
            delta: self.delta,
            heavy: self.heavy.clone(),
            leaders: self.leaders.clone(),
            window: self.window,
            tentative: Some(self.tentative),
        }
    }
}
