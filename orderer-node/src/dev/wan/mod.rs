//! `dev --wan`: nodes and frontends as if they stood at sites far from each other. No emulator of the system's is needed:
//! each process is told to dial a [`relay`] in the place of every node that is elsewhere.
//!
//! A client is where its frontend is: what it says to that is not delayed.

mod alarm;
mod line;
pub mod matrix;
mod pump;
mod relay;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};

use self::alarm::Alarm;
use self::line::Line;
use self::matrix::{Matrix, OneWay};
use self::relay::{Relay, Way};
use super::frontends::FrontendPlan;
use super::network::NodePlan;

/// Where the processes of a network are.
#[derive(Args, Clone, Debug, Default)]
pub struct WanOptions {
    /// Put nodes and frontends at sites, and delay what they say to each other: table-5.7, or a CSV file of round trips
    #[arg(long, value_name = "MATRIX")]
    pub wan: Option<String>,
    /// The site of each node [default: in the order of the matrix, from its beginning again when it ends]
    #[arg(long, value_name = "SITE,...", value_delimiter = ',', requires = "wan")]
    pub wan_sites: Vec<String>,
    /// The site of each frontend of its own [default: those after the nodes']
    #[arg(long, value_name = "SITE,...", value_delimiter = ',', requires = "wan")]
    pub wan_frontends: Vec<String>,
    /// Whether delays vary, as the matrix says
    #[arg(long, value_name = "WHETHER", value_enum, default_value_t, requires = "wan")]
    pub wan_jitter: JitterOption,
    /// What one process can send to another, in 10^6 bits per second [default: no bound]
    #[arg(long, value_name = "N", requires = "wan", value_parser = clap::value_parser!(u32).range(1..))]
    pub wan_mbps: Option<u32>,
}

/// Whether delays vary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum JitterOption {
    /// Every delay is the mean.
    #[default]
    Off,
    /// Normal, with the deviations of the matrix; what would be below zero is zero.
    #[value(alias = "on")]
    Table,
}

/// Where one process is, and how it reaches the nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Placement {
    /// The name of its site.
    pub(super) site: Option<String>,
    /// What to dial in the place of a node's `host:port`.
    pub(super) addresses: BTreeMap<String, String>,
    /// What a decision may take between nodes so far apart, in milliseconds.
    pub(super) decision_time_ms: Option<u64>,
}

/// The emulated links. They are gone when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Wan {
    description: Option<String>,
    _relays: Vec<Relay>,
}

/// A process at its site.
struct Placed<'a> {
    name: &'a str,
    place: usize,
    placement: &'a mut Placement,
}

impl WanOptions {
    /// Says where each process is, and starts the links between them.
    ///
    /// # Errors
    /// There is no such matrix or site, or no port is left.
    pub(super) async fn start(&self, nodes: &mut [NodePlan], frontends: &mut [FrontendPlan]) -> anyhow::Result<Wan> {
        let Some(name) = &self.wan else { return Ok(Wan::default()) };
        let matrix = Matrix::find(name)?;
        let sites = places(&matrix, "--wan-sites", &self.wan_sites, 0, nodes.len())?;
        let of_frontends = places(&matrix, "--wan-frontends", &self.wan_frontends, nodes.len(), frontends.len())?;
        let targets: Vec<(String, SocketAddr)> = nodes.iter().map(|node| (node.address.clone(), node.listen)).collect();
        let placed_nodes = nodes.iter_mut().zip(&sites);
        let placed_nodes =
            placed_nodes.map(|(node, &place)| Placed { name: &node.name, place, placement: &mut node.placement });
        let placed_frontends = frontends.iter_mut().zip(&of_frontends);
        let placed_frontends = placed_frontends.map(|(frontend, &place)| Placed {
            name: &frontend.name,
            place,
            placement: &mut frontend.placement,
        });
        let mut placed: Vec<Placed<'_>> = placed_nodes.chain(placed_frontends).collect();
        let decision_time_ms = u64::try_from(matrix.decision_time(&sites).as_millis()).ok();
        placed.iter_mut().for_each(|process| process.placement.decision_time_ms = decision_time_ms);
        let relays = self.link(&matrix, &mut placed, &targets).await?;
        let described = placed.iter().map(|it| format!("{} {}", it.name, matrix.sites()[it.place]));
        let mut description = format!("wide-area delays of {name}: {}", described.collect::<Vec<_>>().join(", "));
        description += match self.wan_jitter {
            JitterOption::Off => "; no jitter",
            JitterOption::Table => "; with jitter",
        };
        if let Some(mbps) = self.wan_mbps {
            description += &format!("; {mbps} Mbit/s from one process to another");
        }
        Ok(Wan { description: Some(description), _relays: relays })
    }

    /// A relay for each process and each node that it does not reach at once.
    async fn link(
        &self,
        matrix: &Matrix,
        placed: &mut [Placed<'_>],
        targets: &[(String, SocketAddr)],
    ) -> anyhow::Result<Vec<Relay>> {
        let alarm = Arc::new(Alarm::start()?);
        let bytes_per_s = self.wan_mbps.map(|mbps| f64::from(mbps) * 1e6 / 8.0);
        let places: Vec<usize> = placed.iter().map(|process| process.place).collect();
        let mut lines: BTreeMap<(usize, usize), Arc<Line>> = BTreeMap::new();
        let mut relays = Vec::new();
        for (from, process) in placed.iter_mut().enumerate() {
            process.placement.site = Some(matrix.sites()[process.place].clone());
            for (to, (address, listen)) in targets.iter().enumerate().filter(|(to, _)| *to != from) {
                let delay = self.delay(matrix, places[from], places[to]);
                if delay == OneWay::default() && bytes_per_s.is_none() {
                    continue;
                }
                // What a node says on a connection that it was dialled for takes the same line as what it says on its own.
                let mut line = |from: usize, to: usize| {
                    let seed = (from as u64) << 32 | to as u64;
                    Arc::clone(lines.entry((from, to)).or_insert_with(|| Arc::new(Line::new(delay, bytes_per_s, seed))))
                };
                let way = Way { there: line(from, to), back: line(to, from) };
                let relay = Relay::start(*listen, way, Arc::clone(&alarm)).await?;
                process.placement.addresses.insert(address.clone(), relay.address().to_string());
                relays.push(relay);
            }
        }
        Ok(relays)
    }

    fn delay(&self, matrix: &Matrix, from: usize, to: usize) -> OneWay {
        let delay = matrix.one_way(from, to);
        match self.wan_jitter {
            JitterOption::Off => OneWay { mean: delay.mean, ..OneWay::default() },
            JitterOption::Table => delay,
        }
    }
}

impl Wan {
    /// Who is where, for people; none if nobody is anywhere.
    pub(super) fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }
}

/// The places of so many processes in the matrix: as named, or one after the other from `first`.
fn places(matrix: &Matrix, option: &str, named: &[String], first: usize, count: usize) -> anyhow::Result<Vec<usize>> {
    if named.is_empty() {
        return Ok((first..first + count).map(|at| at % matrix.sites().len()).collect());
    }
    ensure!(named.len() == count, "{option} names {} sites, there are {count} to place", named.len());
    let place = |name: &String| {
        let Some(place) = matrix.place(name) else {
            bail!("{name:?} is not among the sites {}", matrix.sites().join(", "));
        };
        Ok(place)
    };
    named.iter().map(place).collect::<anyhow::Result<_>>().with_context(|| option.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_where_they_are_named_or_one_after_the_other() {
        let matrix = Matrix::table_5_7();
        let place = |named: &[&str], first, count| {
            let named: Vec<String> = named.iter().map(|&name| name.to_owned()).collect();
            places(&matrix, "--wan-sites", &named, first, count).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(place(&[], 0, 4).unwrap(), [0, 1, 2, 3]);
        assert_eq!(place(&[], 4, 3).unwrap(), [4, 0, 1]);
        assert_eq!(place(&["oregon", "Virginia"], 0, 2).unwrap(), [2, 4]);
        assert_eq!(place(&["oregon"], 0, 2).unwrap_err(), "--wan-sites names 1 sites, there are 2 to place");
        let error = place(&["Paris"], 0, 1).unwrap_err();
        assert!(error.starts_with("--wan-sites: \"Paris\" is not among the sites Ireland, Sao Paulo"), "{error}");
    }
}
