//! What the experiments of chapter 5 share: sites by name, and a group measured against its floor.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::Conditions;
use crate::geo::deployment::Deployment;
use crate::geo::floor::floor;
use crate::geo::matrix::{Matrix, Site};
use crate::geo::stats::{p50, percent_above, percentile};
use crate::geo::world::{self, Engine, Load, Setup, Weather};

/// What was measured of a group, client by client.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Where each client is.
    pub clients: Vec<String>,
    /// What messages cost at least, in milliseconds.
    pub floors: Vec<f64>,
    /// The medians over distances alone.
    pub calm: Vec<f64>,
    /// All latencies with jitter.
    pub windy: Vec<Vec<f64>>,
}

/// Measures a group with a client at each of these sites, twice: over distances alone, and with the jitter of the matrix. One
/// request is under way at a time.
///
/// # Errors
/// The world cannot be built, or went wrong.
pub fn measure(
    conditions: &Conditions,
    matrix: &Matrix,
    deployment: &Deployment,
    clients: &[Site],
) -> anyhow::Result<Measured> {
    let floors = clients.iter().map(|client| floor(deployment, matrix, *client, &[]).context("a group with a quorum"));
    let engine = engine_of(deployment);
    let calm =
        Setup { engine, cost: conditions.cost, ..Setup::calm(matrix.clone(), deployment.clone(), clients.to_vec()) };
    let Load::Turns(every) = calm.load else { anyhow::bail!("a calm world takes turns") };
    let windy = Setup {
        weather: conditions.weather,
        lasts: calm.warm_up + every * conditions.requests,
        seed: conditions.seed,
        ..calm.clone()
    };
    let calm = Setup { weather: Weather { is_directed: conditions.weather.is_directed, ..Weather::CALM }, ..calm };
    let medians = world::run(&calm)?.latencies.iter().map(|latencies| p50(latencies)).collect();
    Ok(Measured {
        clients: clients.iter().map(|client| matrix.name(*client).to_owned()).collect(),
        floors: floors.collect::<anyhow::Result<_>>()?,
        calm: medians,
        windy: world::run(&windy)?.latencies,
    })
}

/// The core, where the service has such a group, and counters elsewhere.
pub fn engine_of(deployment: &Deployment) -> Engine {
    if deployment.is_in_service() { Engine::Core } else { Engine::Steps }
}

impl Measured {
    /// How far the medians over distances alone are from the floor at most, in hundredths.
    pub fn deviation(&self) -> f64 {
        let off = self.calm.iter().zip(&self.floors).map(|(calm, floor)| percent_above(*calm, *floor).abs());
        off.fold(0.0, f64::max)
    }

    /// All latencies with jitter, of all clients.
    pub fn all(&self) -> Vec<f64> {
        self.windy.concat()
    }

    /// Of the client at this site, if there is one.
    pub fn at(&self, site: &str) -> Option<usize> {
        self.clients.iter().position(|name| name == site)
    }

    /// The figures for programs.
    pub fn json(&self) -> Value {
        let client = |at: usize| {
            let windy = &self.windy[at];
            json!({
                "client": self.clients[at], "floor_ms": self.floors[at], "p50_ms": self.calm[at],
                "p50_with_jitter_ms": p50(windy), "p90_with_jitter_ms": percentile(windy, 0.9), "requests": windy.len(),
            })
        };
        (0..self.clients.len()).map(client).collect()
    }
}
